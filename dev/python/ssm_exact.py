"""Makes moto's Parameter Store choose the key of a SecureString as AWS does.

AWS encrypts with the key that the call names and else with the account's own, whichever key an earlier version had; moto
goes on with the earlier version's.
"""

from moto.ssm.models import SimpleSystemManagerBackend

ACCOUNTS_OWN_KEY = "alias/aws/ssm"

lenient_put = SimpleSystemManagerBackend.put_parameter


def exact_put(backend, name, description, value, parameter_type, allowed_pattern, keyid, *arguments, **named):
    versions = backend._parameters.get(name)
    kind = parameter_type or (versions[-1].parameter_type if versions else None)
    if kind == "SecureString":
        keyid = keyid or ACCOUNTS_OWN_KEY
    return lenient_put(backend, name, description, value, parameter_type, allowed_pattern, keyid, *arguments, **named)


def install():
    SimpleSystemManagerBackend.put_parameter = exact_put
