"""LangGraph on a swarmstate store.

Example:
    >>> from swarmstate.integrations.langgraph import SwarmStateSaver
    >>> saver = SwarmStateSaver("memory:")
    >>> saver.store.capabilities.engine
    'memory'
"""

from swarmstate.integrations.langgraph._cache import SwarmStateCache
from swarmstate.integrations.langgraph._moving import ImportedThreads, import_langgraph
from swarmstate.integrations.langgraph._saver import SwarmStateSaver
from swarmstate.integrations.langgraph._store import SwarmStateStore
from swarmstate.integrations.langgraph._threads import ThreadInfo, ThreadUsage

__all__ = [
    "ImportedThreads",
    "SwarmStateCache",
    "SwarmStateSaver",
    "SwarmStateStore",
    "ThreadInfo",
    "ThreadUsage",
    "import_langgraph",
]
