"""Context keys: the namespace that all sessions of one conversation share.

Each function builds the namespace of one kind of conversation, as the service resolves it. Parts hold no `:`, so that
no part can reach into another conversation's namespace.

Example:
    >>> import swarmstate as ss
    >>> ss.context.linear("DES-42")
    'task:trackers:linear:DES-42'
"""

from swarmstate._core import context_key as _key


def slack(channel: str, timestamp: str) -> str:
    """Build the namespace of a Slack thread.

    Args:
        channel: The channel's id.
        timestamp: The thread's timestamp.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("slack", channel, timestamp)


def agentmail(thread: str) -> str:
    """Build the namespace of a mail thread of an agent's mailbox.

    Args:
        thread: The thread's id.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("agentmail", thread)


def github_issue(owner: str, repository: str, number: str | int) -> str:
    """Build the namespace of a GitHub issue.

    Args:
        owner: Who owns the repository.
        repository: The repository's name.
        number: The issue's number.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("github_issue", owner, repository, str(number))


def github_pull(owner: str, repository: str, number: str | int) -> str:
    """Build the namespace of a GitHub pull request.

    Args:
        owner: Who owns the repository.
        repository: The repository's name.
        number: The pull request's number.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("github_pull", owner, repository, str(number))


def gitlab_merge(project: str, number: str | int) -> str:
    """Build the namespace of a GitLab merge request.

    Args:
        project: The project.
        number: The merge request's number in it.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("gitlab_merge", project, str(number))


def gitlab_issue(project: str, number: str | int) -> str:
    """Build the namespace of a GitLab issue.

    Args:
        project: The project.
        number: The issue's number in it.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("gitlab_issue", project, str(number))


def linear(issue: str) -> str:
    """Build the namespace of a Linear issue.

    Args:
        issue: Its id, such as DES-42.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("linear", issue)


def jira(issue: str) -> str:
    """Build the namespace of a Jira issue.

    Args:
        issue: Its id, such as OPS-1.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("jira", issue)


def schedule(schedule: str) -> str:
    """Build the namespace of a recurring schedule.

    Args:
        schedule: The schedule's id.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("schedule", schedule)


def workflow(run: str) -> str:
    """Build the namespace of a run of a workflow.

    Args:
        run: The run's id.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("workflow", run)


def agent(agent: str) -> str:
    """Build the namespace of an agent's own scratchpad.

    Args:
        agent: The agent's id.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("agent", agent)


def page(page: str) -> str:
    """Build the namespace of a page.

    Args:
        page: The page's id.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """
    return _key("page", page)
