package task

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func FuzzTaskFile(f *testing.F) {
	const id = "0123456789ab"
	for _, s := range []string{
		`{"Format":1,"ID":"0123456789ab","Kind":"pull","State":"queued","Attempts":0,"Created":"2026-01-02T03:04:05Z","Queued":"2026-01-02T03:04:05Z"}`,
		`{"Format":1,"ID":"0123456789ab","Kind":"snapshot","Subject":"firefox","Key":"k","Owner":"me","State":"failed","Step":"push","Reason":"a\nb","Attempts":3,"WithSecrets":true,"Created":"2026-01-02T03:04:05.6+07:08","Queued":"2026-01-02T03:04:05Z","Started":"2026-01-02T03:04:05Z","Ended":"2026-01-02T03:04:05Z","Request":{ "a":"<\u2028>"},"Result":null,"Checkpoint":[1, 2]}`,
		`{"format":1,"id":"0123456789ab"}`, `{`, ``, `null`, `{"Format":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decode(id, data)
		if err != nil {
			return
		}
		if a.ID != id || strings.ContainsAny(a.Subject+a.Key+a.Owner+a.Step+a.Reason, "\n\x1b\x00") || a.State.Ended() == a.Ended.IsZero() {
			t.Fatalf("%+v was taken from %q", a, data)
		}
		text, err := encode(a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := decode(id, text)
		if err != nil {
			t.Fatalf("%v\nin %q\nfrom %q", err, text, data)
		}
		again, err := encode(b)
		if err != nil || !bytes.Equal(text, again) {
			t.Fatalf("%q became %q, %v", text, again, err)
		}
	})
}

func FuzzTaskLogLine(f *testing.F) {
	for _, s := range []string{
		`{"Time":"2026-01-02T03:04:05Z","Step":"push","Level":"info","Message":"a\u001b[31m\nb"}`,
		`{"Time":"2026-01-02T03:04:05Z","Level":"begins"}`, `{"Level":"progress","Progress":1}`, `{"Level":"error","Message":"`, "\xff", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeLine(data)
		if err != nil {
			return
		}
		text, err := marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, '\n') != len(text)-1 || !json.Valid(text) {
			t.Fatalf("%q became %q, which is not one line", data, text)
		}
		b, err := decodeLine(text)
		if err != nil || !a.Time.Equal(b.Time) {
			t.Fatalf("%q became %q: %v", data, text, err)
		}
		a.Time = b.Time
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v became %+v", a, b)
		}
	})
}
