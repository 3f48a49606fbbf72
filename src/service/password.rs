//! Passwords of pages: hashed by argon2, one at a time.
//!
//! A hash takes 19 MiB and some tens of milliseconds on purpose; two at a time would only let a guesser use more of the machine.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use parking_lot::Mutex;

use crate::error::{Error, Result};

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 1024;

/// Held while a password is hashed.
static TURN: Mutex<()> = Mutex::new(());

/// What is kept of a password: its hash with salt and parameters, as text.
///
/// # Cost
/// Tens of milliseconds, and waiting for others.
///
/// # Errors
/// `Invalid` for an empty one and one above [`MAX_PASSWORD`]; `Unavailable` where the system has no random bits.
pub fn hash(password: &str) -> Result<String> {
    if !(1..=MAX_PASSWORD).contains(&password.len()) {
        return Err(Error::invalid(format!("a password has 1 to {MAX_PASSWORD} bytes")));
    }
    let _turn = TURN.lock();
    let hashed = Argon2::default().hash_password(password.as_bytes());
    let hashed = hashed.map_err(|error| Error::Unavailable { what: format!("a password is not hashed: {error}") })?;
    Ok(hashed.to_string())
}

/// Whether `hash` was made of `password`.
///
/// # Cost
/// As [`hash`](fn@hash).
///
/// # Errors
/// `Corrupt` for a hash that is none.
pub fn matches(password: &str, hash: &str) -> Result<bool> {
    let hash = PasswordHash::new(hash).map_err(|error| Error::corrupt(format!("the hash of a password: {error}")))?;
    if password.len() > MAX_PASSWORD {
        return Ok(false);
    }
    let _turn = TURN.lock();
    Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_alone() {
        let hashed = hash("open sesame").expect("there are random bits");

        assert!(hashed.starts_with("$argon2id$"));
        assert_ne!(hash("open sesame").as_deref(), Ok(&*hashed));
        assert_eq!(matches("open sesame", &hashed), Ok(true));
        assert_eq!(matches("open sesam", &hashed), Ok(false));
        assert!(matches!(hash(""), Err(Error::Invalid { .. })));
        assert!(matches!(matches("x", "plain"), Err(Error::Corrupt { .. })));
    }
}
