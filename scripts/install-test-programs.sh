#!/usr/bin/env bash
# Installs, with apt and as root, the programs that some tests drive beside the service (Debian, Ubuntu). Without one of
# them its tests say so and are skipped.
set -euo pipefail

programs=(redis-server pgbouncer nginx caddy haproxy apache2 libapache2-mod-auth-openidc openssl spin gcc libc6-dev chromium luajit
  python3-jwt python3-cryptography python3-fastapi python3-uvicorn python3-flask python3-authlib python3-requests)
# A machine has one mail server, and apt would remove another than this.
command -v sendmail >/dev/null || programs+=(exim4-daemon-light)
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${programs[@]}"
