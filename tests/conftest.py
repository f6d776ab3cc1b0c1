"""How Hypothesis searches in every test: a busy machine is no fault of the program."""

from hypothesis import HealthCheck, settings

settings.register_profile("crmflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crmflow")
