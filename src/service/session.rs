//! Sessions of pages: the cookie that a browser carries, and the proof that a page's own script shows.
//!
//! A cookie names one page and an end, and only who has the key makes one. Pages share an origin, so a browser sends the cookies
//! of all of them along, and what tells one page's script from another's is the proof: it stands in the page's own text, which
//! no other page reads. Neither opens another page, nor this one after the end.

use std::time::Duration;

use blake3::Hash;

/// How long a session lasts.
pub const SESSION: Duration = Duration::from_secs(3600);

/// What makes and knows cookies and proofs.
pub struct SessionKey([u8; 32]);

/// A session of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The page.
    pub page: String,
    /// When it ends, in Unix milliseconds.
    pub expires_at: i64,
}

impl SessionKey {
    /// The key of these bits.
    pub fn new(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// The cookie's value.
    pub fn cookie(&self, session: &Session) -> String {
        format!("{}.{}", session.expires_at, self.seal("cookie", session).to_hex())
    }

    /// What the page's own script shows.
    pub fn proof(&self, session: &Session) -> String {
        self.seal("proof", session).to_hex().to_string()
    }

    /// The session of `page` that a cookie's value stands for, unless it is forged or at its end.
    pub fn open(&self, page: &str, value: &str, now: i64) -> Option<Session> {
        let (expires_at, seal) = value.split_once('.')?;
        let session = Session { page: page.to_owned(), expires_at: expires_at.parse().ok()? };
        let is_ours = Hash::from_hex(seal).is_ok_and(|seal| seal == self.seal("cookie", &session));
        (is_ours && session.expires_at > now).then_some(session)
    }

    /// Whether `proof` is that of the session.
    pub fn proves(&self, session: &Session, proof: &str) -> bool {
        Hash::from_hex(proof).is_ok_and(|proof| proof == self.seal("proof", session))
    }

    /// A keyed hash, whose comparison takes the same time whatever differs.
    fn seal(&self, purpose: &str, session: &Session) -> Hash {
        let text = format!("{purpose}\n{}\n{}", session.page, session.expires_at);
        blake3::keyed_hash(&self.0, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(page: &str) -> Session {
        Session { page: page.to_owned(), expires_at: 1000 }
    }

    #[test]
    fn a_cookie_opens_its_own_page_until_its_end() {
        let key = SessionKey::new([1; 32]);
        let cookie = key.cookie(&session("a"));

        assert_eq!(key.open("a", &cookie, 999), Some(session("a")));
        assert_eq!(key.open("a", &cookie, 1000), None);
        assert_eq!(key.open("b", &cookie, 999), None);
        assert_eq!(SessionKey::new([2; 32]).open("a", &cookie, 999), None);
        assert_eq!(key.open("a", &cookie.replacen("1000", "9000", 1), 999), None);
    }

    #[test]
    fn a_proof_is_of_one_session_and_no_cookie() {
        let key = SessionKey::new([1; 32]);
        let (proof, cookie) = (key.proof(&session("a")), key.cookie(&session("a")));

        assert!(key.proves(&session("a"), &proof));
        assert!(!key.proves(&session("b"), &proof));
        assert!(!key.proves(&session("a"), cookie.trim_start_matches("1000.")));
        assert_eq!(key.open("a", &format!("1000.{proof}"), 999), None);
    }
}
