package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/sys/atomicwriter"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/leftover"
)

// Record is a push that failed, or that is under way. It holds no credentials.
type Record struct {
	// Image is the reference in its familiar form.
	Image string `json:"Image"`
	// ImageID is the image that was to be pushed.
	ImageID string `json:"ImageID"`
	// EngineID and Context say where it is; Context may be "".
	EngineID string `json:"EngineID"`
	Context  string `json:"Context,omitempty"`
	// Workspace is the registration that has no digest yet, "" without one.
	Workspace string `json:"Workspace,omitempty"`
	// Time is when it was last tried.
	Time time.Time `json:"Time"`
	// Attempts counts all tries so far.
	Attempts int `json:"Attempts"`
	// Reason is why the last try failed, in one line.
	Reason string `json:"Reason"`
}

// unfinished is the reason in a record that no one has come back to yet.
const unfinished = "under way, or ended before it was done"

// Records is a folder with a file for each push that waits. The zero value
// keeps none.
type Records struct{ dir string }

// OpenRecords returns the records in dir, which is made with the first one.
func OpenRecords(dir string) Records { return Records{dir} }

const recordExtension = ".json"

// Sweep removes what a process that was killed has left of a record it was
// writing. It is for a folder that no other process uses.
func (r Records) Sweep() {
	if r.dir == "" {
		return
	}
	leftover.Remove(r.dir, "")
}

// path names the file by a hash: references are no file names.
func (r Records) path(engineID string, ref reference.Named) string {
	sum := sha256.Sum256([]byte(engineID + "\x00" + ref.String()))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:12])+recordExtension)
}

// Get returns the record of an image on an engine, nil if there is none.
func (r Records) Get(engineID string, ref reference.Named) (*Record, error) {
	if r.dir == "" {
		return nil, nil
	}
	rec, err := readRecord(r.path(engineID, ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return rec, err
}

// List returns all records, oldest first, and the errors of the files that
// cannot be read.
func (r Records) List() ([]Record, error) {
	if r.dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the records of pushes: %w", err)
	}
	var list []Record
	var errs []error
	for _, f := range files {
		if f.IsDir() || strings.HasPrefix(f.Name(), ".") || filepath.Ext(f.Name()) != recordExtension {
			continue
		}
		switch rec, err := readRecord(filepath.Join(r.dir, f.Name())); {
		case errors.Is(err, fs.ErrNotExist): // done meanwhile
		case err != nil:
			errs = append(errs, err)
		default:
			list = append(list, *rec)
		}
	}
	slices.SortStableFunc(list, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return list, errors.Join(errs...)
}

func readRecord(path string) (*Record, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the record of a push: %w", err)
	}
	var rec Record
	err = json.Unmarshal(data, &rec)
	if err == nil {
		_, err = imageref.ParseTagged(rec.Image)
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of a push %s: %w; remove the file", path, err)
	}
	return &rec, nil
}

// Save writes a record, over one of the same image on the same engine.
func (r Records) Save(rec Record) error {
	if r.dir == "" {
		return nil
	}
	ref, err := imageref.ParseTagged(rec.Image)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("keep a record of the push: %w", err)
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("keep a record of the push: %w", err)
	}
	if err := atomicwriter.WriteFile(r.path(rec.EngineID, ref), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep a record of the push: %w", err)
	}
	return nil
}

// Remove deletes the record of an image on an engine, if there is one.
func (r Records) Remove(engineID string, ref reference.Named) error {
	if r.dir == "" {
		return nil
	}
	if err := os.Remove(r.path(engineID, ref)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of a push: %w", err)
	}
	return nil
}

// SetWorkspace notes which registration waits for the digest of an image whose
// push has failed.
func (r Records) SetWorkspace(engineID string, ref reference.Named, name string) error {
	rec, err := r.Get(engineID, ref)
	if err != nil || rec == nil {
		return err
	}
	rec.Workspace = name
	return r.Save(*rec)
}

// begin writes the record before the push: should this process be killed, it
// tells what was under way. It goes on what an earlier try of the same image
// left.
func (p *Pusher) begin(engineID string, req Request) Record {
	rec := Record{
		Image: imageref.Familiar(req.Ref), ImageID: req.ImageID, EngineID: engineID, Context: p.Context,
		Workspace: req.Workspace, Time: p.Now(), Reason: unfinished,
	}
	if last, err := p.Records.Get(engineID, req.Ref); err == nil && last != nil && last.ImageID == rec.ImageID {
		rec.Attempts = last.Attempts
		if rec.Workspace == "" {
			rec.Workspace = last.Workspace
		}
	}
	if err := p.Records.Save(rec); err != nil {
		p.warn("a failure of this push could not be resumed by its record: %s", err)
	}
	return rec
}

func (p *Pusher) fail(rec Record, attempts int, err error) {
	rec.Time, rec.Reason = p.Now(), Reason(err)
	if errors.Is(err, context.Canceled) {
		rec.Reason = "interrupted"
	}
	rec.Attempts += attempts
	if err := p.Records.Save(rec); err != nil {
		p.warn("%s", err)
	}
}
