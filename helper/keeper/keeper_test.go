package keeper

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Whoever is told that a session ends soon makes a snapshot of it, which may take
// longer than that.
func TestASessionIsLeftAloneWhileASnapshotOfItIsMade(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	for name, c := range map[string]struct {
		renewed time.Time
		acts    bool
	}{
		"under way":  {now, false},
		"was killed": {now.Add(-2 * lock.Lease), true},
	} {
		t.Run(name, func(t *testing.T) {
			var acted []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch _, path, _ := strings.Cut(r.URL.Path, "/v1.41"); path {
				case "/volumes":
					h := lock.Holder{Key: "s", Generation: 1}
					_ = json.NewEncoder(w).Encode(volume.ListResponse{Volumes: []*volume.Volume{{
						Name: h.Volume(), CreatedAt: c.renewed.Format(time.RFC3339),
						Labels: map[string]string{lock.Label: h.Key, lock.Label + ".run": "run", lock.Label + ".owner": "ann@desk"},
					}}})
				case "/info":
					_ = json.NewEncoder(w).Encode(map[string]string{"SystemTime": now.Format(time.RFC3339Nano)})
				default:
					acted = append(acted, r.Method+" "+path)
					w.WriteHeader(http.StatusNoContent)
				}
			}))
			defer server.Close()
			engine, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			books, err := shelf.Open(t.TempDir(), log, func([]*workspace.Workspace) {})
			if err != nil {
				t.Fatal(err)
			}
			k := &Keeper{Engine: engine, Shelf: books, Log: log}
			running := session.Session{ID: "s", Name: "s", State: session.Running}
			paused := running
			paused.State = session.Paused // as its snapshot holds it still
			for what, act := range map[string]func() error{
				"stop":   func() error { return k.Stop(t.Context(), paused) },
				"pause":  func() error { return k.Pause(t.Context(), running) },
				"delete": func() error { return k.Delete(t.Context(), running) },
			} {
				acted = nil
				err := act()
				if (err == nil) != c.acts || (len(acted) > 0) != c.acts {
					t.Errorf("%s: did %q, %v", what, acted, err)
				}
				if err != nil && !strings.Contains(err.Error(), "made by ann@desk") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
