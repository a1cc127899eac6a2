"""`hivelog key public`, `hivelog key rotate-signing`: the key that signs the seals of the log."""

from __future__ import annotations

from ..events import keyfile, signfile, signing
from . import output
from .app import Data, Json
from .errors import MISUSED, CommandError
from .key import key
from .servers import load_settings


@key.command()
def public(data: Data = None, as_json: Json = False) -> int:
    """Print the public key of the log's seals: give it to whoever is to verify them.

    **Example**

    `hivelog key public > public.key`
    """
    settings = load_settings(quiet=True, data=data)
    ring = signfile.ring_here(settings.signing_keys, settings.data)
    if ring is None:
        hint = f"neither HIVELOG_SIGNING_KEY nor {signfile.key_path(settings.data)} has one"
        raise CommandError("no signing key is here", hint)
    if as_json:
        keys = [{"public_key": signing.to_text(one.public), "signs": one is ring.first} for one in ring.keys]
        output.print_json({"keys": keys})
    else:
        output.print_text(signing.to_text(ring.first.public))
    return 0


@key.command("rotate-signing")
def rotate_signing(data: Data = None, as_json: Json = False) -> int:
    """Make a new key to sign the log's seals with, in the key file, before the one in use.

    It signs from the next start of `hivelog serve` on, and the former key endorses it then. Seals of before
    stay valid. The former key may go from the file after that.

    **Example**

    `hivelog key rotate-signing`
    """
    settings = load_settings(quiet=True, data=data)
    path = signfile.key_path(settings.data)
    if settings.signing_keys:
        hint = "put a new one before it there, and keep the former behind it, separated by a comma"
        raise CommandError("the signing key is set by HIVELOG_SIGNING_KEY", hint, status=MISUSED)
    if not keyfile.read_keys(path):
        raise CommandError(f"{path} is not here", "`hivelog serve` makes the first one", status=MISUSED)
    made = signing.SigningRing.from_settings([keyfile.prepend_key(path)])
    text = signing.to_text(made.first.public)
    if as_json:
        output.print_json({"public_key": text, "path": str(path)})
    else:
        output.print_text(text)
        output.note(f"new signing key in {path}: back it up, and restart `hivelog serve`")
    return 0
