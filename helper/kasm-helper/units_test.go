//go:build unix

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// setting reads one of a unit of contrib/systemd.
func setting(t *testing.T, file, section, name string) string {
	t.Helper()
	f, err := os.Open("../../contrib/systemd/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		if o.Section == section && o.Name == name {
			return o.Value
		}
	}
	t.Fatalf("%s has no %s=", file, name)
	return ""
}

func TestTheUnitsFitTheHelper(t *testing.T) {
	if got := setting(t, "kasm-helper.socket", "Socket", "ListenStream"); got != dial.Socket {
		t.Errorf("the socket is at %s, dial-stdio looks at %s", got, dial.Socket)
	}
	line := strings.Fields(setting(t, "kasm-helper.service", "Service", "ExecStart"))
	if len(line) < 2 || line[1] != "serve" {
		t.Fatalf("ExecStart=%v", line)
	}
	serve := newServeCommand()
	if err := serve.ParseFlags(line[2:]); err != nil {
		t.Error(err)
	}
	data := serve.Flag("data").Value.String()
	if got := "/var/lib/" + setting(t, "kasm-helper.service", "Service", "StateDirectory"); got != data {
		t.Errorf("the state folder is %s, the helper's is %s", got, data)
	}
	stop, err := time.ParseDuration(setting(t, "kasm-helper.service", "Service", "TimeoutStopSec"))
	if err != nil || stop <= grace {
		t.Errorf("tasks may take %s to tidy up, the helper %s: %v", grace, stop, err)
	}
}
