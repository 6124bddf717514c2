#!/bin/sh
# Not before an upgrade: deb says upgrade then, rpm 1.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now pve-mcp.service
	fi
	;;
esac
