"""Reading the answer to an activation, apart from asking for it: the raw answer is stored first."""

from gateway.kra.classify import decode, read_reply
from gateway.kra.documents import Activation, RawActivation
from gateway.kra.errors import DeviceTrouble
from gateway.kra.profiles import Flavour
from gateway.kra.wire import basics
from gateway.lib.clock import utc_now


def read_activation(raw: RawActivation, flavour: Flavour) -> Activation:
    """What KRA gave for a device (OSCU and VSCU specifications v2.0 §3.3.1.1). May be repeated on the stored answer.

    Raises the error that the answer stands for: DeviceTrouble for 901, 902, 903, 905 and for a success without the key
    that an OSCU device needs; NoAnswer when it cannot be read (keep it: KRA may have given the key in it).
    """
    body = decode(raw.body)
    inner = body.get("responseBody") if isinstance(body, dict) else None
    if isinstance(inner, dict) and "resultCd" not in inner and inner.get("cmcKey"):
        activation = basics.read_activation(inner)  # seen on GavaConnect: the key and no envelope around it
    else:
        reply = read_reply(raw.http_status, {}, raw.body, flavour=flavour, is_write=True, now=utc_now())
        activation = basics.read_activation(reply.body)
    if not activation.key and flavour is not Flavour.VSCU:
        raise DeviceTrouble("key_missing", "KRA said success but gave no communication key")
    return activation
