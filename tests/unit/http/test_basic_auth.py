"""Basic authentication against a file that may change while the bridge runs."""

import base64
import os

import pytest

from bridge.errors import SettingError, Unauthorized
from bridge.http.basic_auth import MAX_USERS, Credentials


def basic(user, password, scheme="Basic"):
    return f"{scheme} " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users"
    path.write_text("sns:secret\nnext:secret too\n")
    return path


def replace(path, content):
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def test_without_a_file_everybody_is_let_in():
    credentials = Credentials("")
    credentials.reread()
    credentials.check(None)
    credentials.check("Bearer x")


@pytest.mark.parametrize(
    "header",
    [
        basic("sns", "secret"),
        basic("next", "secret too"),
        basic("sns", "secret", "basic"),
        basic("sns", "secret", "BASIC"),
        basic("sns", "secret") + " ",
    ],
)
def test_any_line_of_the_file_is_accepted(path, header):
    Credentials(str(path)).check(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        basic("sns", "wrong"),
        basic("sns", ""),
        basic("", "secret"),
        basic("SNS", "secret"),
        basic("sns", "secret\n"),
        basic("sns", "secret", "Bearer"),
        basic("sns", "secret", "Basic,"),
        basic("sns", "secret")[6:],
        basic("sns", "secret") + "=",
        basic("sns", "secret") + "\t",
        "Basic sns:secret",
        "Basic \xff",
        "Basic \u0100",
        basic("sns:secret\nnext", "secret too"),
        "Basic " + "A" * 10000,
    ],
)
def test_all_else_is_challenged(path, header):
    with pytest.raises(Unauthorized) as caught:
        Credentials(str(path)).check(header)
    assert caught.value.status == 401
    assert caught.value.headers.startswith("WWW-Authenticate: Basic ") and caught.value.headers.endswith("\r\n")
    assert "secret" not in str(caught.value) and "sns" not in str(caught.value)


@pytest.mark.parametrize("content", [b"sns:secret", b"sns:secret\r\n", b"\n\nsns:secret\n\n"])
def test_line_ends_and_empty_lines_do_not_matter(path, content):
    path.write_bytes(content)
    Credentials(str(path)).check(basic("sns", "secret"))


def test_colons_spaces_and_other_scripts_belong_to_the_password(path):
    path.write_text("sns: a:b ß \n", encoding="utf-8")
    Credentials(str(path)).check(basic("sns", " a:b ß "))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"secret\n", b"sns:secret\nhalf\n", b"".join(b"u%d:p\n" % at for at in range(MAX_USERS + 1))]
)
def test_a_file_that_is_no_list_of_users_is_one_line_without_its_content(path, content):
    path.write_bytes(content)
    with pytest.raises(SettingError) as caught:
        Credentials(str(path))
    assert str(caught.value).startswith(f"BRIDGE_BASIC_AUTH_FILE: {path} ") and "secret" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(SettingError, match=r"BRIDGE_BASIC_AUTH_FILE: .*No such file"):
        Credentials(str(tmp_path / "none"))


def test_a_new_password_is_taken_and_the_old_one_goes(path):
    credentials = Credentials(str(path))
    replace(path, b"sns:new\n")
    credentials.check(basic("sns", "secret"))
    credentials.reread()
    credentials.check(basic("sns", "new"))
    with pytest.raises(Unauthorized):
        credentials.check(basic("sns", "secret"))


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_while_the_file_cant_be_used_the_old_lines_stay_and_it_is_told(path, content):
    credentials = Credentials(str(path))
    if content is None:
        path.unlink()
    else:
        replace(path, content)
    for _ in range(2):
        with pytest.raises(SettingError):
            credentials.reread()
        credentials.check(basic("sns", "secret"))
        with pytest.raises(Unauthorized):
            credentials.check(None)
    replace(path, b"sns:new\n")
    credentials.reread()
    credentials.check(basic("sns", "new"))


def test_a_file_that_has_not_changed_is_not_read_again(path):
    credentials = Credentials(str(path))
    before = path.stat()
    path.write_bytes(b"garbage")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    credentials.reread()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(SettingError):
        credentials.reread()
