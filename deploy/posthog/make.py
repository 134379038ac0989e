"""Makes the dashboards of dashboard.json in a PostHog project, by its API. Needs Python alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="https://us.posthog.com", help="of the app, not of ingestion")
    parser.add_argument("--print", action="store_true", dest="show", help="show what would be sent")
    given = parser.parse_args()
    described = json.loads(Path(__file__).with_name("dashboard.json").read_text("utf-8"))
    if given.show:
        print(json.dumps(described, indent=2))
        return
    key, project = os.environ.get("POSTHOG_PERSONAL_API_KEY"), os.environ.get("POSTHOG_PROJECT_ID")
    if not key or not project:
        sys.exit("set POSTHOG_PERSONAL_API_KEY and POSTHOG_PROJECT_ID")
    base = f"{given.host.rstrip('/')}/api/projects/{project}"
    for dashboard in described["dashboards"]:
        made = post(f"{base}/dashboards/", key, {"name": dashboard["name"], "description": dashboard["description"]})
        for tile in dashboard["tiles"]:
            post(f"{base}/insights/", key, {**tile, "dashboards": [made["id"]]})
        print(f"{dashboard['name']}: {given.host}/project/{project}/dashboard/{made['id']}")


def post(url: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)  # noqa: S310  as the user gave it
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        made: dict[str, Any] = json.load(reply)
        return made


if __name__ == "__main__":
    main()
