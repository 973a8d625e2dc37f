package job

import (
	"context"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// known is the sessions that no label tells of, as far as a snapshot needs them: the
// helper's, and that of the task itself if a user has adopted it.
func (j *Jobs) known(asked *helperapi.Snapshot) session.Roster { return known{j.Roster, asked} }

type known struct {
	kept  *roster.Store
	asked *helperapi.Snapshot
}

// Records are those of the engine's catalog, and one for a container whose
// workspace came with the task. A container that says itself what it is needs none.
func (k known) Records(ctx context.Context, _ bool) ([]roster.Record, error) {
	var list []roster.Record
	var err error
	if k.kept != nil {
		list, err = k.kept.List(ctx)
	}
	for i := range list {
		list[i].Scope = session.ScopeEngine
	}
	if k.asked.Parent != nil {
		list = append(list, roster.Record{Kind: roster.Adopted, Container: k.asked.Session, Workspace: k.asked.Parent.Name})
	}
	return list, err
}

// AtOnce is true: files are read.
func (known) AtOnce() bool { return true }

// Missing leaves the records to those who list all sessions.
func (known) Missing(context.Context, []roster.Record) {}
