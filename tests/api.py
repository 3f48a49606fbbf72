"""Sends requests that schemathesis makes up from the OpenAPI document to a service, and judges the answers.

What it does not judge: whether all that the schema allows is taken, since revisions, sums and integers of 64 bits are
beyond a schema; and other methods of a path, since a key may end in what the path of another operation ends in.
"""

import subprocess
import sys
from pathlib import Path

import swarmstate as ss

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
]
EXAMPLES = 50


def main() -> int:
    """Runs it, and returns its status."""
    with ss.serve(ss.Store()) as server:
        command = [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"{server.url}/openapi.json",
            f"--header=Authorization: Bearer {server.api_key}",
            f"--checks={','.join(CHECKS)}",
            f"--max-examples={EXAMPLES}",
            "--suppress-health-check=all",
        ]
        return subprocess.run(command, timeout=600).returncode


if __name__ == "__main__":
    sys.exit(main())
