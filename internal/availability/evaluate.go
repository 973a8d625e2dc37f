package availability

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// evaluate brings every entry up to what is known now. It asks nobody, and works
// in memory: with a thousand workspaces it is done in a millisecond. w.mu is held.
func (w *Watcher) evaluate(now time.Time) {
	for _, t := range w.targets {
		img, _ := w.images.find(t.name, t.ref)
		if img.ID == "" && t.image != "" {
			// While it was here it may have been pushed.
			t.renew()
		}
		if img.ID != t.image {
			t.changed = true
		}
		t.image, t.need, t.compared = img.ID, nothing, false
	}
	for _, r := range w.records {
		status := w.derive(r)
		if r.target != nil {
			r.entry.Checked = r.target.answer.at
		}
		old := r.entry
		if status == old.Status {
			continue
		}
		r.entry.Status = status
		if status.State != old.State {
			r.entry.Since = now
		}
		w.publish(Change{Name: r.ws.Name, Old: old.State, New: r.entry})
	}
	wake(w.reask)
}

// derive is the status of a workspace by what is known; it notes what has to be
// asked for it.
func (w *Watcher) derive(r *record) Status {
	if r.ws.Type != workspace.TypeContainer {
		return Status{State: Available}
	}
	status, decided := w.images.statusOf(r.ws, r.key)
	switch {
	case decided && status.State == Available:
		status = w.update(r, status)
	case !w.stats.listed():
		status = Status{State: Unknown, Reason: "the engine has not answered yet"}
	case !decided:
		status = w.remote(r, status)
	}
	if w.pulls[r.key] != nil {
		status.State, status.Reason = Pulling, "the image is being pulled"
	}
	return status
}

// update tells whether an image that the engine has is outdated. Those that are
// named by their content never are.
func (w *Watcher) update(r *record, status Status) Status {
	t := r.target
	if t == nil || !w.asks(r) || r.ws.Snapshot != nil || pinned(r.key) {
		return status
	}
	if w.images.comparable(t.repository, status.ImageID) {
		t.need, t.compared = max(t.need, update), true
	}
	if t.outdated(w.images) {
		status.State = Outdated
		status.Reason = fmt.Sprintf("registry %s has another image of that name", t.host.name)
	}
	return status
}

// remote is the status of an image that the engine does not have.
func (w *Watcher) remote(r *record, local Status) Status {
	t := r.target
	switch {
	case t == nil:
		return Status{State: Unknown, Reason: r.problem}
	case w.options.Offline:
		return Status{State: Unknown, Reason: local.Reason + ", and registries are not asked"}
	case !r.ws.Enabled:
		return Status{State: Unknown, Reason: local.Reason + ", and registries are not asked for a disabled workspace"}
	}
	t.need = presence
	switch {
	case t.answer.access != "":
		return t.answer.status(r.ws, t.host.name, local)
	case t.missed != "":
		return Status{State: Unknown, Reason: t.missed}
	case t.host.err != "":
		return Status{State: Unknown, Reason: t.host.err}
	}
	return Status{State: Unknown, Reason: fmt.Sprintf("%s, and registry %s has not been asked yet", local.Reason, t.host.name)}
}

func (w *Watcher) asks(r *record) bool { return !w.options.Offline && r.ws.Enabled }

// pinned tells whether a full name ends in a digest.
func pinned(key string) bool { return strings.Contains(key, "@") }
