#!/bin/sh
# systemd reads the unit; a service that runs goes on with the new program. Nothing is started.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart pve-mcp.service
fi
