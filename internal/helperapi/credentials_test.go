package helperapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestCredentialsGoOverTheWireAndNowhereElse(t *testing.T) {
	const secret = "hunter2-secret"
	n := NewTask{Pull: &Pull{Image: "x"}, Credentials: Credentials{"r": {Username: "u", Password: secret}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{n, &n, n.Credentials, RetryTask{n.Credentials}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credentials", n.Credentials, "task", n)
	if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), redacted) {
		t.Error(log.String())
	}
	data, err := json.Marshal(n)
	if err != nil || !bytes.Contains(data, []byte(secret)) {
		t.Errorf("%s %v", data, err)
	}
}
