#!/bin/sh
# The start of the desktop image's sessions. About locks it does what Kasm's
# own does: dockerstartup/vnc_startup.sh in
# https://github.com/kasmtech/workspaces-core-images
set -eu
export USER="${USER:-$(id -un)}"

if [ -n "${VNC_PW-}" ]; then
	mkdir -p "$HOME/.vnc"
	printf '%s\n' "$VNC_PW" | (umask 077 && vncpasswd -f >"$HOME/.vnc/passwd")
	set -- -SecurityTypes VncAuth
else
	set -- -SecurityTypes None --I-KNOW-THIS-IS-INSECURE
fi

vncserver -kill "$DISPLAY" >/dev/null 2>&1 ||
	rm -rf /tmp/.X*-lock /tmp/.X11-unix ||
	echo "no locks present"

# In the foreground, so that a desktop that does not come up ends the session
# and says why.
exec vncserver "$DISPLAY" -fg -localhost no -rfbport "$VNC_PORT" -geometry 1024x768 "$@" -xstartup /usr/local/bin/desktop-programs
