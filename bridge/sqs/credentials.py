"""AWS credentials from the five places where AWS's SDKs look, in their order, renewed before they expire.

environment -> web identity (STS) -> shared file -> container -> instance metadata. Everything here blocks, so it runs in a thread.
Source: AWS SDKs and tools reference guide, "Standardized credential providers"; STS API reference, AssumeRoleWithWebIdentity;
EC2 user guide, "Use the Instance Metadata Service"; ECS developer guide, "Task IAM role".
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

from bridge.errors import MalformedMessage
from bridge.sns.egress import EgressError
from bridge.sns.origin import Origin
from bridge.sns.timestamp import unix_seconds
from bridge.sns.topic import PARTITIONS, partition_of
from bridge.sqs.queue_url import default_region
from bridge.sqs.shared_file import sections_of
from bridge.sqs.signing import Credentials
from bridge.version import PRODUCT

RENEW = 900  # seconds before their end, from which on they are renewed
AGAIN = 30  # seconds until a renewal that failed is tried again
STEP = 2.0  # seconds that connecting or a read may take
TOTAL = 8.0  # seconds for one answer
MAX_ANSWER, MAX_FILE = 65536, 1 << 20  # bytes

# Where a credential may be sent in plain text: this machine, ECS's agent, EKS's Pod Identity agent.
_LOCAL = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1|169\.254\.170\.2|169\.254\.170\.23|fd00:ec2::23")
_EXPIRATION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(?:Z|\+00:?00)")
_PRINTABLE = re.compile(r"[!-~]+")
_OTHERS = "role_arn", "credential_process", "sso_session", "sso_start_url"  # settings of a profile whose keys are elsewhere
_ROLE = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_MEMBERS = re.compile(r"<(AccessKeyId|SecretAccessKey|SessionToken|Expiration)>([^<&]+)</\1>")  # keys and times need no escapes

Ask = Callable[[str, str, dict[str, str], bytes | None, bool], tuple[int, bytes]]


class NoCredentials(EgressError):
    """No credentials were found. `str()` says where they were looked for and what to do; it holds no secret."""


def ask(ca_file: str) -> Ask:
    """Return ask(method, url, headers, body, proxies) -> (status, body), which raises EgressError. ca_file (PEM) holds the roots."""

    def asked(method: str, url: str, headers: dict[str, str], body: bytes | None, proxies: bool) -> tuple[int, bytes]:
        origin = Origin(url, ca_file, proxies)
        try:
            return origin.exchange(method, url, headers, body, MAX_ANSWER, connect=STEP, read=STEP, total=TOTAL)
        finally:
            origin.close()

    return asked


class CredentialChain:
    """The credentials to sign with, for all threads. They are looked for once, and again before they expire or when AWS refuses them."""

    def __init__(self, environment: Mapping[str, str], region: str, ask: Ask, now: Callable[[], float] = time.time) -> None:
        """region is that of STS when AWS_REGION names none; now gives Unix seconds."""
        self._environment, self._region, self._ask, self._now = environment, region, ask, now
        self._kept: Credentials | None = None
        self._tried = -float("inf")
        self._lock = threading.Lock()

    def at_hand(self) -> Credentials | None:
        """Return the credentials that need not be looked for now, None if `get` has to."""
        kept, left = self._holding()
        return kept if left > RENEW or (left > 0 and 0 <= self._now() - self._tried < AGAIN) else None

    def get(self) -> Credentials:
        """Return credentials that have not expired. Blocks. Raises NoCredentials."""
        at_hand = self.at_hand()
        if at_hand is not None:
            return at_hand
        kept, left = self._holding()
        if not self._lock.acquire(timeout=0 if left > 0 else TOTAL):
            if kept is not None and left > 0:
                return kept  # another thread renews them
            raise NoCredentials("no credentials yet: another request is still fetching them")
        try:
            found = self._kept
            if found is None or found is kept:  # else another thread has just found newer ones
                self._tried = self._now()
                found = self._kept = find(self._environment, self._region, self._ask, self._now())
            return found
        except NoCredentials:
            if kept is not None and left > 0 and self._kept is kept:
                return kept
            raise
        finally:
            self._lock.release()

    def _holding(self) -> tuple[Credentials | None, float]:
        """Return what is kept, and the seconds that it has left: 0 or less if it has expired, or nothing is kept."""
        kept = self._kept
        return kept, kept.expires - self._now() if kept is not None else 0

    def forget(self, refused: Credentials) -> None:
        """Forget credentials that AWS has refused; the next `get` looks again, because the file or the role may have new ones."""
        if self._kept is refused:
            self._kept = None


def find(environment: Mapping[str, str], region: str, ask: Ask, now: float) -> Credentials:
    """Return the credentials of the first place that is set up; now is in Unix seconds. Raises NoCredentials."""
    passed: list[str] = []  # why a place that may be meant has none
    try:
        found = (
            _of_environment(environment)
            or _of_web_identity(environment, region, ask, now)
            or _of_shared_file(environment, passed)
            or _of_container(environment, ask)
            or _of_instance(environment, ask, passed)
        )
    except NoCredentials:
        raise
    except EgressError as error:
        raise NoCredentials(f"the credentials can't be fetched: {error}") from None
    if found is None:
        raise NoCredentials(
            "; ".join(
                (
                    "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE with ~/.aws/credentials, or give the "
                    "pod, task or instance a role",
                    *passed,
                )
            )
        )
    return found


def _checked(origin: str, access_key: object, secret_key: object, token: object = "", expires: object = None) -> Credentials:
    """Return Credentials of the values from `origin`. Raises NoCredentials when one is missing, or is no text that a header can carry."""
    for name, value in (("access key", access_key), ("secret key", secret_key), ("session token", token or "-")):
        if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
            raise NoCredentials(f"{origin}: the {name} is missing, or holds a space or a character that is not ASCII")
    until = float("inf")
    if expires is not None:
        try:
            form = _EXPIRATION.fullmatch(str(expires))
            until = unix_seconds(form[1] + ".000Z") if form else 0
        except MalformedMessage:
            until = 0
        if not until:
            raise NoCredentials(f"{origin}: Expiration is not YYYY-MM-DDThh:mm:ssZ")
    return Credentials(str(access_key), str(secret_key), str(token or ""), until)


def _read(path: str, setting: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(MAX_FILE)
    except (OSError, ValueError) as error:
        raise NoCredentials(f"{setting}: {path} can't be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def _read_token(path: str, setting: str) -> str:
    token = _read(path, setting)
    if not token.strip():
        raise NoCredentials(f"{setting}: {path} is empty")
    return token


def _of_environment(environment: Mapping[str, str]) -> Credentials | None:
    key, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if not key:
        return None
    return _checked(
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", key, secret, _either(environment, "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
    )


def _either(values: Mapping[str, str], first: str, second: str) -> str:
    """Return the first of two values that is set: the older name wins, as in botocore."""
    return values.get(first) or values.get(second, "")


def _of_web_identity(environment: Mapping[str, str], region: str, ask: Ask, now: float) -> Credentials | None:
    """EKS's service accounts and other OpenID Connect providers: STS gives a role's credentials for a token, by an unsigned request."""
    path = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
    if not path:
        return None
    role = environment.get("AWS_ROLE_ARN", "")
    if not role:
        raise NoCredentials("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")
    token = _read_token(path, "AWS_WEB_IDENTITY_TOKEN_FILE").strip()
    region = default_region(environment) or region
    host = "sts.amazonaws.com" if region == "aws-global" else f"sts.{region}.{PARTITIONS[partition_of(region)][0]}"
    url = environment.get("AWS_ENDPOINT_URL_STS") or f"https://{host}"
    session = environment.get("AWS_ROLE_SESSION_NAME") or f"{PRODUCT}-{int(now)}"
    for setting, value in (("AWS_ROLE_ARN", role), ("AWS_ROLE_SESSION_NAME", session)):
        if not value.isprintable():
            raise NoCredentials(f"{setting} is not UTF-8, or holds a line's end or another control character")
    form = f"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={quote(role, '')}&RoleSessionName={quote(session, '')}"
    form += f"&WebIdentityToken={quote(token, '')}"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    try:
        status, answer = ask("POST", url.rstrip("/") + "/", headers, form.encode(), True)
    except EgressError as error:
        raise NoCredentials(f"no answer from STS: {error} (AWS_REGION, AWS_ENDPOINT_URL_STS, HTTPS_PROXY?)") from None
    text = answer.decode("utf-8", "replace")
    if status != 200:
        code = re.search(r"<Code>([A-Za-z.]{1,64})</Code>", text)
        raise NoCredentials(f"STS did not let AWS_ROLE_ARN ({role}) be assumed: it answered {status} {code[1] if code else ''}".rstrip())
    members = _MEMBERS.findall(text)
    values = dict(members)
    if len(members) != 4 or len(values) != 4:
        raise NoCredentials("STS's answer does not hold one set of credentials")
    return _checked("STS", values["AccessKeyId"], values["SecretAccessKey"], values["SessionToken"], values["Expiration"])


def _of_shared_file(environment: Mapping[str, str], passed: list[str]) -> Credentials | None:
    named = "AWS_DEFAULT_PROFILE" if environment.get("AWS_DEFAULT_PROFILE") else "AWS_PROFILE"
    profile, path = environment.get(named, ""), environment.get("AWS_SHARED_CREDENTIALS_FILE", "")
    setting = "AWS_SHARED_CREDENTIALS_FILE" if path else named
    given = bool(path or profile)
    path = path or environment.get("HOME", "") + "/.aws/credentials"
    if path.startswith("~/"):
        path = environment.get("HOME", "") + path[1:]
    try:
        text = _read(path, setting)
    except NoCredentials:
        if given:
            raise
        return None
    sections = sections_of(text)
    defaults = sections.pop("DEFAULT", {})
    name = profile or "default"
    if name not in sections:
        if profile:
            raise NoCredentials(f"{named}: {path} has no profile [{name}]; ~/.aws/config is not read")
        return None
    section = defaults | sections[name]
    if "aws_access_key_id" not in section:
        problem = (
            f"{path}: profile [{name}] holds no aws_access_key_id; profiles of a role, of SSO or of a credential_process are not read, nor "
            "is ~/.aws/config"
        )
        if profile or any(other in section for other in _OTHERS):
            raise NoCredentials(problem)
        passed.append(problem)
        return None
    return _checked(
        f"{path}: profile [{name}]",
        section["aws_access_key_id"],
        section.get("aws_secret_access_key"),
        _either(section, "aws_security_token", "aws_session_token"),
    )


def _of_container(environment: Mapping[str, str], ask: Ask) -> Credentials | None:
    """ECS tasks and EKS Pod Identity."""
    path, url = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ""), environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if not path and not url:
        return None
    url = f"http://169.254.170.2/{path.removeprefix('/')}" if path else url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise NoCredentials("AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and _LOCAL.fullmatch(parts.hostname or "")):
        raise NoCredentials("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine, ECS or EKS")
    setting = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
    token = environment.get(setting, "")
    token_file = environment.get(setting + "_FILE", "")
    if token_file:
        setting += "_FILE"
        token = _read_token(token_file, setting)
    if not token.isprintable() or not token.isascii():
        raise NoCredentials(f"{setting} holds a line's end or another character that a header can't carry")
    try:
        status, answer = ask("GET", url, {"Authorization": token} if token else {}, None, False)
    except EgressError as error:
        raise NoCredentials(
            f"no answer from the container's agent: {error} (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI)"
        ) from None
    return _of_json("the container's credentials", status, answer, token)


def _of_instance(environment: Mapping[str, str], ask: Ask, passed: list[str]) -> Credentials | None:
    """The role of an EC2 instance, by version 2 of its metadata service."""
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    ipv6 = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() == "ipv6"
    named = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "")
    origin = (named or ("http://[fd00:ec2::254]" if ipv6 else "http://169.254.169.254")).rstrip("/") + "/latest/"
    service = "EC2's metadata service" + (" (AWS_EC2_METADATA_SERVICE_ENDPOINT)" if named else "")
    asked = "a token"
    try:
        status, answer = ask("PUT", origin + "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}, b"", False)
    except EgressError as error:  # most often this is not an instance of EC2
        passed.append(f"no answer from {service}: {error}; in a container on EC2 its hop limit must be 2")
        return None
    token = answer.decode("latin-1")
    if status == 200 and _PRINTABLE.fullmatch(token):
        headers = {"X-aws-ec2-metadata-token": token}
        path, asked = origin + "meta-data/iam/security-credentials/", "the instance's role"
        status, answer = ask("GET", path, headers, None, False)
        role = answer.decode("latin-1").partition("\n")[0]
        if status == 200 and _ROLE.fullmatch(role):
            return _of_json("the instance's credentials", *ask("GET", path + role, headers, None, False), token)
        if status == 404:
            passed.append("the instance has no role")
            return None
    problem = f"{service} answered {status} to the question for {asked}"
    if status == 429 or status >= 500:
        raise NoCredentials(f"{problem}; it is asked again")
    passed.append(problem)
    return None


def _of_json(origin: str, status: int, answer: bytes, token: str) -> Credentials:
    """Return the credentials of an answer to a request with this token. Raises NoCredentials, which may hold the answer's message."""
    try:
        members = json.loads(answer)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise NoCredentials(f"{origin}: no answer in JSON, status {status}")
    if status != 200 or members.get("Code", "Success") != "Success":
        said = [members.get(name) for name in ("Code", "code", "Message", "message")]
        shown = [one[:200] for one in said if isinstance(one, str) and not (token and token in one)]
        raise NoCredentials(f"{origin}: the answer is {' '.join([str(status), *shown])[:204]}")
    access_key, secret_key, session = (members.get(name) for name in ("AccessKeyId", "SecretAccessKey", "Token"))
    return _checked(origin, access_key, secret_key, session, members.get("Expiration") or "none")
