"""Basic authentication against a file that may change while the bridge runs."""

import base64
import os

import pytest

from bridge.errors import SettingError, Unauthorized
from bridge.http.basic_auth import MAX_USERS, Credentials, parse_users
from bridge.log import Log


def basic(user, password, scheme="Basic"):
    return f"{scheme} " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def log():
    return Log(fd=os.open(os.devnull, os.O_WRONLY))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users"
    path.write_text("sns:secret\nnext:secret too\n")
    return path


def replace(path, content):
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def test_without_a_file_everybody_is_let_in(log):
    credentials = Credentials("", log)
    credentials.follow()
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
def test_any_line_of_the_file_is_accepted(path, header, log):
    Credentials(str(path), log).check(header)


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
def test_all_else_is_challenged(path, header, log):
    with pytest.raises(Unauthorized) as caught:
        Credentials(str(path), log).check(header)
    assert caught.value.status == 401
    assert caught.value.headers.startswith("WWW-Authenticate: Basic ") and caught.value.headers.endswith("\r\n")
    assert "secret" not in str(caught.value) and "sns" not in str(caught.value)


@pytest.mark.parametrize("content", [b"sns:secret\n", b"sns:secret\r\n", b"\n\nsns:secret\n\n"])
def test_line_ends_and_empty_lines_do_not_matter(path, content, log):
    path.write_bytes(content)
    Credentials(str(path), log).check(basic("sns", "secret"))


def test_colons_spaces_and_other_scripts_belong_to_the_password(path, log):
    path.write_text("sns: a:b ß \n", encoding="utf-8")
    Credentials(str(path), log).check(basic("sns", " a:b ß "))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"secret\n", b"sns:secret\nhalf\n", b"".join(b"u%d:p\n" % at for at in range(MAX_USERS + 1))]
)
def test_a_file_that_is_no_list_of_users_is_one_line_without_its_content(path, content, log):
    path.write_bytes(content)
    with pytest.raises(SettingError) as caught:
        Credentials(str(path), log)
    assert str(caught.value).startswith(f"BRIDGE_BASIC_AUTH_FILE: {path} ") and "secret" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path, log):
    with pytest.raises(SettingError, match=r"BRIDGE_BASIC_AUTH_FILE: .*No such file"):
        Credentials(str(tmp_path / "none"), log)


def test_a_new_password_is_taken_and_the_old_one_goes(path, log):
    credentials = Credentials(str(path), log)
    replace(path, b"sns:new\n")
    credentials.check(basic("sns", "secret"))
    credentials.follow()
    credentials.check(basic("sns", "new"))
    with pytest.raises(Unauthorized):
        credentials.check(basic("sns", "secret"))


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"sns:", b"sns:\n", b"sns:n", b"next:x\nsns:new", b"next:x\nsns:\n", None])
def test_while_the_file_cant_be_used_the_old_lines_stay(path, log, content):
    credentials = Credentials(str(path), log)
    if content is None:
        path.unlink()
    else:
        replace(path, content)
    for _ in range(2):
        credentials.follow()
        credentials.check(basic("sns", "secret"))
        for wrong in (None, basic("sns", ""), basic("sns", "n"), basic("sns", "new"), basic("next", "x")):
            with pytest.raises(Unauthorized):
                credentials.check(wrong)
    replace(path, b"sns:new\n")
    credentials.follow()
    credentials.check(basic("sns", "new"))


@pytest.mark.parametrize("end", range(1, len(b"sns:a-long-password\nnext:another\n")))
def test_no_part_of_a_file_that_is_being_written_lets_a_part_of_a_password_in(end):
    whole = b"sns:a-long-password\nnext:another\n"
    try:
        users = parse_users(whole[:end])
    except ValueError as error:
        assert "half-written" in str(error)
    else:
        assert users == whole.splitlines()[: len(users)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"sns:secret", "half-written: line 1"),
        (b"sns:secret\nnext:half", "half-written: line 2"),
        (b"sns:\n", "empty password in line 1"),
        (b"\nsns:\r\n", "empty password in line 2"),
        (b":\n", "empty password"),
        (b"# who may deliver\nsns:secret\n", "line 1 is a comment"),
        (b"sns:secret\n#next:secret\n", "line 2 is a comment"),
        (b"\xef\xbb\xbfsns:secret\n", "byte order mark"),
        ("sns:secret\n".encode("utf-16"), "byte order mark"),
        ("sns:secret\n".encode("utf-16-le"), "control character"),
        (b"sns:sec\tret\n", "control character in line 1"),
        (b"sns:secret\x00\n", "control character"),
        (b"sns:$2y$05$Q1lO1kXo5ZW6LPXrXsQGYuyPj8cPhE8YYV9dQG9PZ4O7yFQJz3x3K\n", "hash in line 1"),
        (b"sns:$2b$12$Q1lO1kXo5ZW6LPXrXsQGYuyPj8cPhE8YYV9dQG9PZ4O7yFQJz3x3K\n", "hash"),
        (b"sns:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n", "hash"),
        (b"sns:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", "hash"),
        (b"sns:{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", "hash"),
        (b"sns:$5$rounds=5000$salt$5B8vYYiY\n", "hash"),
        (b"sns:$6$salt$IxDD3jeSOb5eB1CX5LBsqZ\n", "hash"),
        (b"sns:$argon2id$v=19$m=65536$c2FsdA$aGFzaA\n", "hash"),
        (b"sns:$y$j9T$salt$hash\n", "hash"),
    ],
)
def test_what_is_no_plain_password_is_pointed_out_instead_of_being_taken_literally(content, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        parse_users(content)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", [b"$ecret", b"$2", b"$$", b"{sha", b"a$2y$b", b"{SHAfter}", b"pass#word", b" ", b"\xff"])
def test_a_password_that_only_looks_a_little_like_a_hash_is_a_password(password):
    assert parse_users(b"sns:" + password + b"\n") == [b"sns:" + password]
