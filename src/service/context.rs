//! Context keys: which namespace a conversation, an agent or a page has, and what may be a name at a door.
//!
//! A context key is built here and nowhere else. Its parts hold no `:`, so that no part can reach into another's namespace.

use crate::error::{Error, Result};

/// The longest name that a door takes, in characters.
pub(super) const MAX_NAME: usize = 512;

/// Checks a namespace or a key that comes through a door; `what` begins the message.
///
/// # Errors
/// `Invalid` for anything but 1 to 512 characters of `[a-zA-Z0-9._:/-]`, and for `.` and `..`.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME {
        let length = name.chars().count();
        return Err(Error::invalid(format!("a {what} has 1 to {MAX_NAME} characters, but this one has {length}")));
    }
    if name == "." || name == ".." || !name.bytes().all(is_plain) {
        return Err(Error::invalid(format!(
            "a {what} is made of letters, digits and . _ : / - and is neither \".\" nor \"..\", but this one is {name:?}"
        )));
    }
    Ok(())
}

/// Checks one part of a context key.
///
/// # Errors
/// `Invalid` where it is no name or holds `:`.
pub fn check_part(what: &str, part: &str) -> Result<()> {
    check_name(what, part)?;
    match part.contains(':') {
        true => Err(Error::invalid(format!("a {what} holds no \":\", but this one is {part:?}"))),
        false => Ok(()),
    }
}

/// What a context key stands for, with its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context<'a> {
    /// A Slack thread: channel and timestamp.
    Slack(&'a str, &'a str),
    /// A mail thread of an agent's mailbox.
    Agentmail(&'a str),
    /// A GitHub issue: owner, repository, number.
    GithubIssue(&'a str, &'a str, &'a str),
    /// A GitHub pull request: owner, repository, number.
    GithubPull(&'a str, &'a str, &'a str),
    /// A GitLab merge request: project and its number there.
    GitlabMerge(&'a str, &'a str),
    /// A GitLab issue: project and its number there.
    GitlabIssue(&'a str, &'a str),
    /// A Linear issue.
    Linear(&'a str),
    /// A Jira issue.
    Jira(&'a str),
    /// A recurring schedule.
    Schedule(&'a str),
    /// A run of a workflow.
    Workflow(&'a str),
    /// An agent's own scratchpad.
    Agent(&'a str),
    /// A page.
    Page(&'a str),
}

impl Context<'_> {
    /// The namespace.
    ///
    /// # Errors
    /// `Invalid` for a part that is no name or holds `:`, and for a key that is longer than a namespace may be.
    pub fn key(&self) -> Result<String> {
        let (head, parts): (&str, &[(&str, &str)]) = match self {
            Self::Slack(channel, ts) => ("task:slack", &[("channel", channel), ("timestamp", ts)]),
            Self::Agentmail(thread) => ("task:agentmail", &[("thread", thread)]),
            Self::GithubIssue(owner, repo, n) => {
                ("task:trackers:github", &[("owner", owner), ("repository", repo), ("kind", "issue"), ("number", n)])
            }
            Self::GithubPull(owner, repo, n) => {
                ("task:trackers:github", &[("owner", owner), ("repository", repo), ("kind", "pr"), ("number", n)])
            }
            Self::GitlabMerge(project, iid) => {
                ("task:trackers:gitlab", &[("project", project), ("kind", "mr"), ("number", iid)])
            }
            Self::GitlabIssue(project, iid) => {
                ("task:trackers:gitlab", &[("project", project), ("kind", "issue"), ("number", iid)])
            }
            Self::Linear(id) => ("task:trackers:linear", &[("issue", id)]),
            Self::Jira(id) => ("task:trackers:jira", &[("issue", id)]),
            Self::Schedule(id) => ("task:schedule", &[("schedule", id)]),
            Self::Workflow(run) => ("task:workflow", &[("run", run)]),
            Self::Agent(id) => ("task:agent", &[("agent id", id)]),
            Self::Page(id) => ("task:page", &[("page id", id)]),
        };
        let mut key = head.to_owned();
        for (what, part) in parts {
            check_part(what, part)?;
            key.push(':');
            key.push_str(part);
        }
        check_name("context key", &key)?;
        Ok(key)
    }
}

/// Who owns a namespace: only the owner writes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Any authenticated caller may write.
    Everyone,
    /// This agent, or a lead.
    Agent(&'a str),
    /// This page's own session.
    Page(&'a str),
}

/// The owner of `namespace`.
pub fn owner(namespace: &str) -> Owner<'_> {
    match (namespace.strip_prefix("task:agent:"), namespace.strip_prefix("task:page:")) {
        (Some(agent), _) => Owner::Agent(agent),
        (_, Some(page)) => Owner::Page(page),
        (None, None) => Owner::Everyone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_context_has_the_key_that_agents_know() {
        let keys = [
            (Context::Slack("C123", "1776.5"), "task:slack:C123:1776.5"),
            (Context::Agentmail("t1"), "task:agentmail:t1"),
            (Context::GithubIssue("o", "r", "4"), "task:trackers:github:o:r:issue:4"),
            (Context::GithubPull("o", "r", "4"), "task:trackers:github:o:r:pr:4"),
            (Context::GitlabMerge("p", "2"), "task:trackers:gitlab:p:mr:2"),
            (Context::GitlabIssue("p", "2"), "task:trackers:gitlab:p:issue:2"),
            (Context::Linear("DES-42"), "task:trackers:linear:DES-42"),
            (Context::Jira("OPS-1"), "task:trackers:jira:OPS-1"),
            (Context::Schedule("s"), "task:schedule:s"),
            (Context::Workflow("run-1"), "task:workflow:run-1"),
            (Context::Agent("a"), "task:agent:a"),
            (Context::Page("p"), "task:page:p"),
        ];

        for (context, key) in keys {
            assert_eq!(context.key().as_deref(), Ok(key));
        }
    }

    #[test]
    fn a_part_that_would_reach_into_another_namespace_is_refused() {
        for part in ["a:b", "", "a b", "ä", "..", &"x".repeat(513)] {
            assert!(matches!(Context::Agent(part).key(), Err(Error::Invalid { .. })), "{part:?}");
        }
    }
}
