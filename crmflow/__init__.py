"""crmflow decides when a prospect, an organization or a deal leaves an outreach workflow."""

__version__ = "0.1.0"
