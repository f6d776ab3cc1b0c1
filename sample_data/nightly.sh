#!/bin/sh
# What cron runs every night: copies the store, reads what is new in the logs, completes the steps that are due.
#
#   CRMFLOW_DB=STORE nightly.sh LOG...     or     nightly.sh STORE LOG...
#
# It prints the steps that were due, and what went wrong: cron mails that. A night without either prints nothing.
#
# It ends with 0, or with 3 where some lines were not understood (crmflow rejects list): everything else was done.
# It stops at any other status of crmflow and ends with it: without the news of the logs, steps would be completed for
# records that have left. Nothing needs a lock here: a second run waits for the store, and ends with 75 if it waits
# too long. The next night catches up. The copy, STORE.before, is there to go back to if a rule was wrong.
set -eu

# cron's PATH is /usr/bin:/bin; pip, pipx and uv install crmflow for one user in ~/.local/bin.
PATH="${PATH:-/usr/bin:/bin}:/usr/local/bin${HOME:+:$HOME/.local/bin}"
export PATH

if [ -z "${CRMFLOW_DB:-}" ] && [ $# -gt 0 ]; then
    CRMFLOW_DB=$1
    shift
fi
if [ $# -eq 0 ]; then
    echo "usage: CRMFLOW_DB=STORE $0 LOG... or: $0 STORE LOG..." >&2
    exit 2
fi
export CRMFLOW_DB

crmflow backup --quiet --overwrite "$CRMFLOW_DB.before"
status=0
crmflow ingest --quiet "$@" || status=$?
if [ "$status" -ne 0 ] && [ "$status" -ne 3 ]; then
    exit "$status"
fi
crmflow advance --quiet
exit "$status"
