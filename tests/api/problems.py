"""What every problem document must be."""

from typing import Any

from gateway.api.problems import PROBLEMS


def problem(response: Any, status: int, code: str) -> Any:
    """The document of a failed request, checked for what all of them have."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["code"] == code
    assert document["status"] == status == PROBLEMS[code].status
    assert document["type"].endswith(f"/docs/problems/#{code}")
    assert document["title"] == PROBLEMS[code].title
    assert document["detail"]
    assert document["request_id"] == response["X-Request-Id"]
    assert "Traceback" not in response.content.decode()
    return document


def fields(response: Any) -> dict[str, str]:
    """The wrong fields of a 422, with their codes."""
    document = problem(response, 422, "invalid")
    assert all(one["message"].strip() for one in document["fields"])
    return {one["field"]: one["code"] for one in document["fields"]}
