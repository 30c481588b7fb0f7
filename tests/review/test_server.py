"""The server: who is let in, what is kept, and what is left after a kill."""

import random
import re
import threading
from collections.abc import Callable

import pytest

from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from tests.review.conftest import Server, decided, end_server, start_server
from tests.run.processes import processes_of, wait_for


def test_a_host_that_is_not_this_server_is_refused(server: Server) -> None:
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1:1", "", "[::1"):
        status, _, body = server.ask("/", headers={"Host": host})
        assert status in (400, 421), host
        assert b"Photo number" not in body
    port = server.host.split(":")[1]
    assert server.ask("/", headers={"Host": f"localhost:{port}"})[0] == 200


def test_decisions_from_elsewhere_are_refused(server: Server) -> None:
    step, json_type = server.step(11), {"Content-Type": "application/json"}
    own = {"Origin": f"http://{server.host}"}
    for headers in (
        json_type,
        json_type | {"Origin": "http://evil.example"},
        json_type | {"Origin": "null"},
        json_type | own | {"Sec-Fetch-Site": "cross-site"},
        json_type | {"Sec-Fetch-Site": "same-site"},
    ):
        assert server.ask("/decisions", step, headers)[0] == 403, headers
    assert server.ask("/decisions", step, own | {"Content-Type": "text/plain"})[0] == 415
    assert server.ask("/decisions", headers=own, method="GET")[0] == 405
    assert server.ask("/decisions", step | {"reviewer": "x" * 70_000}, own | json_type)[0] == 413
    assert not [row for row in decided(server.workspace) if row[0] == 11]


@pytest.mark.parametrize(
    "wrong",
    [
        {"photo": 10**6},
        {"photo": "12"},
        {"photo": True},
        {"head": "nobody"},
        {"run": "another"},
        {"reviewer": " "},
        {"reviewer": "a\nb"},
        {"changes": []},
        {"changes": [{"tag": "Castle", "decision": "add"}]},
        {"changes": [{"tag": ["Coastal"], "decision": "add"}]},
        {"changes": [{"tag": "Coastal", "decision": "like"}]},
        {"changes": [{"tag": "Coastal", "decision": "add"}, {"tag": "Coastal", "decision": "reject"}]},
        {"seen": 7},
    ],
)
def test_a_step_that_makes_no_sense_is_refused_with_a_reason_and_leaves_nothing(
    server: Server, wrong: dict[str, object]
) -> None:
    status, said = server.decide(**server.step(12) | wrong)
    assert status in (400, 409, 503)
    assert said["message"]
    assert not [row for row in decided(server.workspace) if row[0] == 12]


def test_a_step_is_kept_with_what_it_was_made_against(server: Server) -> None:
    status, said = server.decide(**server.step(13))
    assert status == 200
    assert [(word["tag"], word["decision"], word["reviewer"]) for word in said["words"]] == [("Coastal", "add", "ann")]
    assert (13, "Coastal", "add", "ann") in decided(server.workspace)
    assert server.decide(**server.step(13, changes=[{"tag": "Coastal", "decision": "withdraw"}]))[1]["words"] == []


def test_two_reviewers_do_not_overwrite_each_other(server: Server) -> None:
    anns, bobs = server.step(14), server.step(14, reviewer="bob", changes=[{"tag": "Coastal", "decision": "reject"}])
    assert server.decide(**anns)[0] == 200
    status, said = server.decide(**bobs)
    assert status == 409
    assert "ann has decided on photo 14" in said["message"]
    assert [(word["tag"], word["decision"], word["reviewer"]) for word in said["state"]["words"]] == [
        ("Coastal", "add", "ann")
    ]
    assert server.decide(**bobs | {"seen": said["state"]["seen"]})[0] == 200
    assert [row for row in decided(server.workspace) if row[0] == 14] == [(14, "Coastal", "reject", "bob")]


def test_decisions_committed_beside_the_server_are_on_its_next_page(server: Server) -> None:
    append_decisions(server.workspace, [Decision(15, "Coastal", "add", "<i>import</i>", "import")])
    _, _, body = server.ask("/?state=all&photo=15")
    assert b'data-tag="Coastal" data-kind="other" data-decision="add"' in body or b'data-decision="add"' in body
    assert b"&lt;i&gt;import&lt;/i&gt;" in body


def test_what_an_address_asks_wrongly_is_said_on_the_page(server: Server) -> None:
    for asked, said in (("?tag=Castle", b"none of the 49 tags"), ("?head=nobody", b"there is no head"),
                        ("?after=x", b"no place in the queue")):  # fmt: skip
        status, _, body = server.ask(f"/{asked}")
        assert (status, said in body, b'role="alert"' in body) == (400, True, True), asked


def test_every_answer_forbids_what_the_page_does_not_need(server: Server) -> None:
    for path in ("/", "/assets/review.js", "/nothing", "/?tag=Castle", "/thumbnails/1.jpg", "/why/1"):
        _, headers, _ = server.ask(path)
        assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_a_picture_is_made_once_and_a_broken_one_costs_a_placeholder(server: Server) -> None:
    cache = server.workspace.cache / "thumbnails"
    status, headers, body = server.ask("/thumbnails/21.jpg")
    assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    (kept,) = cache.glob("*/21-*.jpg")
    assert kept.read_bytes() == body
    kept.write_bytes(b"\xff\xd8 from the cache")
    assert server.ask("/thumbnails/21.jpg")[2] == b"\xff\xd8 from the cache"
    for photo, problem in ((3, b"truncated"), (4, b"missing")):
        status, headers, body = server.ask(f"/thumbnails/{photo}.jpg")
        assert (status, headers["content-type"], headers["cache-control"]) == (200, "image/svg+xml", "no-store")
        assert problem in body
        assert not list(cache.glob(f"*/{photo}-*"))
    assert server.ask("/thumbnails/99999999999999999999.jpg")[0] == 404
    assert server.ask("/thumbnails/..%2f..%2fgeotag.toml")[0] == 404


def test_the_reasons_of_a_photo_add_up_to_what_its_score_came_from(server: Server) -> None:
    status, _, body = server.ask("/why/22")
    rows = body.decode().replace("\N{MINUS SIGN}", "-").split('<th scope="row">')[1:]
    assert status == 200
    assert len(rows) >= 5
    for row in rows:
        *parts, total = [float(number) for number in re.findall(r"(?:<td>|<strong>)([+-][\d.]+)", row)]
        assert len(parts) == 4
        assert sum(parts) == pytest.approx(total, abs=0.03)


def test_a_server_that_others_reach_asks_for_its_token_and_then_knows_the_browser(
    review_archive: Callable[[int], Workspace],
) -> None:
    served = start_server(review_archive(30), "--host", "0.0.0.0")
    try:
        path = "/?" + served.address.split("?")[1]
        port = served.host.split(":")[1]
        served.address = f"http://127.0.0.1:{port}/"
        assert served.ask("/")[0] == 401
        assert served.ask("/?token=wrong")[0] == 401
        assert served.ask("/assets/review.js")[0] == 401
        assert served.ask(path, headers={"Host": f"evil.example:{port}"})[0] == 421
        status, headers, _ = served.ask(path + "&tag=Coastal")
        assert (status, headers["location"]) == (303, "/?tag=Coastal")
        assert "HttpOnly" in headers["set-cookie"]
        cookie = {"Cookie": headers["set-cookie"].split(";")[0]}
        status, _, body = served.ask("/", headers=cookie)
        assert status == 200
        assert b'data-reviewer=""' in body, "the owner's login name is not everybody's"
    finally:
        end_server(served)


def test_every_acknowledged_decision_survives_a_kill_in_the_middle_of_fifty(
    review_archive: Callable[[int], Workspace],
) -> None:
    served = start_server(review_archive(60), "--reviewer", "ann")
    first = served.step(1)
    assert served.ask("/thumbnails/1.jpg")[0] == 200  # a decoding process is there too
    tags = ["Coastal", "Paths", "Moorland", "Railways", "Canals"]
    steps = [(photo, tag) for photo in range(1, 11) for tag in tags]
    acknowledged: list[tuple[int, str]] = []

    def decide_all() -> None:
        for photo, tag in steps:
            step = first | {"photo": photo, "seen": None, "changes": [{"tag": tag, "decision": "reject"}]}
            try:
                status, _ = served.decide(**step)
            except (OSError, ValueError):
                return
            assert status == 200
            acknowledged.append((photo, tag))
            if len(acknowledged) == enough:
                going.set()

    enough, going = random.Random(6).randrange(15, 30), threading.Event()
    thread = threading.Thread(target=decide_all)
    thread.start()
    assert going.wait(30)
    served.process.kill()
    thread.join(30)
    served.process.communicate()
    wait_for(lambda: not processes_of(served.workspace.root), 10)
    assert enough <= len(acknowledged) < 50
    kept = [(photo, tag) for photo, tag, _, _ in decided(served.workspace)]
    assert set(acknowledged) <= set(kept)
    assert len(kept) <= len(acknowledged) + 1
    again = start_server(served.workspace, "--reviewer", "ann")
    try:
        photo, tag = acknowledged[-1]
        assert again.step(photo)["seen"]
        assert again.decide(**again.step(photo, changes=[{"tag": tag, "decision": "withdraw"}]))[0] == 200
    finally:
        end_server(again)
