"""Makes moto's Parameter Store choose the key of a SecureString as AWS does.

AWS encrypts with the key that the call names. If the call names no key, AWS uses the account's default key, and moto
uses the key of the previous version.

`date_back` gives new versions an earlier date, so that a test does not wait until they are old.
"""

import datetime
import sys
import types

# moto imports EC2 with Parameter Store, for commands to instances, which nothing here sends. The import takes more
# than half of the emulator's start.
ec2 = types.ModuleType("moto.ec2")
ec2.ec2_backends = {}
sys.modules["moto.ec2"] = ec2

from moto.ssm.models import SimpleSystemManagerBackend

ACCOUNTS_OWN_KEY = "alias/aws/ssm"

lenient_put = SimpleSystemManagerBackend.put_parameter
# The age of the versions that are stored from now on.
age = datetime.timedelta()


def date_back(seconds):
    """Sets the age of the versions that are stored from now on."""
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
