# shellcheck shell=bash disable=SC2034
# Every version there is to choose, in one place. 20.10 is what Debian 12 has.
moby_version=v2.0.0-beta.24
containerd_version=v2.1.5
runc_version=v1.3.3
debian_suite=bookworm
