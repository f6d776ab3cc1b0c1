"""`python -m crmflow`."""

from crmflow.cli import main

if __name__ == "__main__":
    main()
