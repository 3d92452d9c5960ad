"""Makes moto's Parameter Store choose the key of a SecureString as AWS does.

AWS encrypts with the key that the call names and else with the account's own, whichever key an earlier version had; moto
goes on with the earlier version's.

`date_back` makes versions older than they are, for tests that would wait until they are that old.
"""

import datetime

from moto.ssm.models import SimpleSystemManagerBackend

ACCOUNTS_OWN_KEY = "alias/aws/ssm"

lenient_put = SimpleSystemManagerBackend.put_parameter
# How much earlier than now the next versions are dated.
age = datetime.timedelta()


def date_back(seconds):
    """Dates the versions that are stored from now on this many seconds before now."""
    global age
    age = datetime.timedelta(seconds=seconds)


def exact_put(backend, name, description, value, parameter_type, allowed_pattern, keyid, *arguments, **named):
    versions = backend._parameters.get(name)
    kind = parameter_type or (versions[-1].parameter_type if versions else None)
    if kind == "SecureString":
        keyid = keyid or ACCOUNTS_OWN_KEY
    version = lenient_put(backend, name, description, value, parameter_type, allowed_pattern, keyid, *arguments, **named)
    version.last_modified_date -= age
    return version


def install():
    SimpleSystemManagerBackend.put_parameter = exact_put
