// Package snapshot makes a new image from a session: one pipeline of steps,
// each of which reports what it does and can be told apart when it fails.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/change"
	"github.com/docker-kasm/docker-kasm/internal/diff"
	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// API is what a snapshot asks of the engine.
type API interface {
	diff.API
	engine.RegistryClient
	lock.API
	Tidier
	session.Deleter
	ContainerPause(ctx context.Context, container string) error
	ContainerCommit(ctx context.Context, container string, options container.CommitOptions) (container.CommitResponse, error)
	ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, containerName string) (container.CreateResponse, error)
	ContainerExport(ctx context.Context, container string) (io.ReadCloser, error)
	CopyFromContainer(ctx context.Context, container, srcPath string) (io.ReadCloser, container.PathStat, error)
	CopyToContainer(ctx context.Context, container, path string, content io.Reader, options container.CopyToContainerOptions) error
	ImageImport(ctx context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error)
	ImageSave(ctx context.Context, images []string, opts ...client.ImageSaveOption) (io.ReadCloser, error)
	ImageHistory(ctx context.Context, image string, opts ...client.ImageHistoryOption) ([]image.HistoryResponseItem, error)
	ImageLoad(ctx context.Context, input io.Reader, opts ...client.ImageLoadOption) (image.LoadResponse, error)
	ImageTag(ctx context.Context, image, ref string) error
	ImagePush(ctx context.Context, ref string, options image.PushOptions) (io.ReadCloser, error)
}

// Request says what snapshot is wanted.
type Request struct {
	// Session names the session: name, id or a unique prefix of an id.
	Session string
	// Reference is the new image's name, "" to generate one.
	Reference string
	// Registry qualifies the name, in any form Kasm's own page takes; it also
	// asks for a push. "" leaves the name alone.
	Registry string
	// Prefix is put in place of the repository's path in generated names.
	Prefix  string
	Changes change.Set
	Author  string
	Message string
	// NoPause lets the session's processes go on while its files are copied.
	NoPause bool
	Push    bool
	// NoRegister leaves the catalog alone.
	NoRegister bool
	// FriendlyName of the new workspace, "" for the usual wording.
	FriendlyName string
	// KeepEnv and KeepLabels name environment variables and labels that were
	// given at run time and are to be in the image; "*" stands for all.
	KeepEnv, KeepLabels []string
	// IncludeMounts are the paths of mounts whose content is brought into the
	// image.
	IncludeMounts []string
	// Flatten makes one layer of all the image's.
	Flatten bool
	// NoWait fails when another snapshot of the session is under way.
	NoWait bool
	// DryRun ends after preflight, and takes no lock.
	DryRun bool
	// Delete deletes the session once its image is registered. It is held still
	// from the commit on, so that nothing is written that would be lost.
	Delete bool
}

// Result is what a snapshot has come to, as far as it came.
type Result struct {
	Session string `json:"Session"`
	// Image is the new image's reference in its familiar form.
	Image string `json:"Image"`
	// ImageID is set once the image is tagged.
	ImageID string `json:"ImageID,omitempty"`
	// Digest is the manifest's digest in the registry, set by a push.
	Digest string `json:"Digest,omitempty"`
	// Verified is what of the registry's content was compared after a push.
	Verified push.Verified `json:"Verified,omitempty"`
	// SizeWritten is the session's own layer, and what mounts brought in as it is
	// archived, in bytes.
	SizeWritten int64 `json:"SizeWritten"`
	// StoodStill is how long the session was paused, in nanoseconds.
	StoodStill time.Duration `json:"StoodStill"`
	// Workspace is the name of the registration, "" without one.
	Workspace string `json:"Workspace,omitempty"`
	// Dropped are names of environment variables and labels given at run time
	// that are absent from the image. Blanked are those whose name had to stay,
	// with an empty value.
	Dropped []string `json:"Dropped,omitempty"`
	Blanked []string `json:"Blanked,omitempty"`
	// Included are mount points whose content was brought into the image.
	Included []string `json:"Included,omitempty"`
	// LeftOut are mount points whose content is not in the image.
	LeftOut []string `json:"LeftOut,omitempty"`
	// KeptVolumes are anonymous volumes of a session that was deleted.
	KeptVolumes []string `json:"KeptVolumes,omitempty"`
	Warnings    []string `json:"Warnings,omitempty"`
	DryRun      bool     `json:"DryRun,omitempty"`
	// Preview is what the image would hold; a dry run has it.
	Preview *diff.Diff `json:"Preview,omitempty"`
}

// Catalog is where the session's workspace is found, and the snapshot's is
// registered.
type Catalog interface {
	push.Catalog
	// GetIn is Get in the catalog of a session's scope: "" for a user's, or
	// session.ScopeEngine.
	GetIn(ctx context.Context, scope, name string) (*workspace.Workspace, error)
	CreateRaw(ctx context.Context, name string, data []byte) (*workspace.Workspace, error)
	UniqueName(ctx context.Context, base string) (string, error)
	// Writable fails where CreateRaw would, whatever it was given.
	Writable(ctx context.Context) error
}

// Pipeline runs snapshots against one engine and one catalog.
type Pipeline struct {
	API     API
	Catalog Catalog
	// Roster knows the sessions that no label tells of; nil is for none.
	Roster session.Roster
	// Auth returns the user's credentials for a registry host, zero if none.
	Auth func(host string) (registry.AuthConfig, error)
	// Edit lets the user change the registration before it is saved; nil saves
	// it as generated.
	Edit func(ctx context.Context, name string, data []byte) ([]byte, error)
	// Pusher pushes the image; its API, clock and reports are the pipeline's.
	Pusher push.Pusher
	// RegisterFlags are put into the command that an error suggests for adding the
	// workspace by hand, such as " --scope engine".
	RegisterFlags string
	// RegisterFirst registers the workspace before the push instead of after it:
	// where nobody waits, a push that is interrupted is resumed much later.
	RegisterFirst bool
	// Stepped is told what the snapshot has come to after each step; nil if nobody
	// wants to know. While the image has its name and the workspace is still to be
	// registered, pending is that workspace's file.
	Stepped func(r Result, pending []byte)
	// Naming is told which image is about to get its name, as Stepped would be once
	// it has it: should this process be killed before Stepped is called, only the
	// engine can tell whether it was given. An error keeps the image from its name;
	// nil asks nobody.
	Naming func(r Result, pending []byte) error
	// LockDir is where this user's snapshots keep their locks.
	LockDir string
	// Guard starts what tidies up should this process be killed, before the lock
	// is asked for that the holder is about to have; nil does without.
	Guard func(lock.Holder) Guard
	Sink  Sink
	// Now is the clock, in the zone that generated names use.
	Now func() time.Time
}

// Guard outlives this process. Its calls do not fail: a snapshot goes on
// without it.
type Guard interface {
	// Held tells that the lock is held, from when on there is more to tidy up
	// than the lock, or that the holder's note has changed.
	Held(lock.Holder)
	// Done tells that nothing is left to tidy up.
	Done()
}

// job is one run of the pipeline.
type job struct {
	*Pipeline
	// id tells this run's images, container and lock from all others'.
	id     string
	req    Request
	plan   *plan
	result Result
	step   Step
	// image is the untagged image that the next step works on, former are those
	// it has taken the place of, helper is a container that layers are made in.
	// None of them must outlive a failure.
	image  string
	former []string
	helper string
	// config is the configuration the image will have, nil on an engine that
	// lets none be rewritten.
	config *imageConfig
	// manifest is that of the image manifestOf.
	manifest   ocispec.Manifest
	manifestOf string
	auth       registry.AuthConfig
	// held and onEngine are the session's lock, note is what it says.
	held     lock.Holder
	onEngine *lock.Lock
	note     note
	clock    *clock
	release  func() error
	// moreHeld is set when another lock than the session's could not be given
	// back, because the engine went away.
	moreHeld bool
	guard    Guard
	// since is from when on a session that is to be deleted must not go on, by the
	// engine's clock.
	since   string
	deleted bool
	// workspace is what is registered, nil before that is made up.
	workspace *workspace.Workspace
	// unanswered is set when the engine may still be at a commit whose answer
	// was lost.
	unanswered bool
	pushErr    error
}

// PushError says that the image is there and registered, but not pushed.
type PushError struct {
	Image string
	Err   error
}

func (e *PushError) Error() string {
	why := push.Reason(e.Err)
	if errors.Is(e.Err, context.Canceled) {
		why = "interrupted"
	}
	return fmt.Sprintf("push image %q: %s; the image is kept on the engine: `docker kasm push %s` tries again", e.Image, why, e.Image)
}

// Unwrap returns the engine's or the registry's error.
func (e *PushError) Unwrap() error { return e.Err }

// InterruptError says in which step a snapshot was interrupted. Nothing of it
// is left, but for what the errors beside it say, and for an image that is named.
type InterruptError struct {
	// Step is "" where it is told beside the error.
	Step Step
	// Image is the new image's reference, "" if it has none.
	Image string
}

func (e *InterruptError) Error() string {
	what := "no image was made"
	if e.Image != "" {
		what = fmt.Sprintf("image %q is kept", e.Image)
	}
	if e.Step == "" {
		return what
	}
	return fmt.Sprintf("interrupted in step %s: %s", e.Step, what)
}

// Unwrap returns context.Canceled.
func (*InterruptError) Unwrap() error { return context.Canceled }

// Run makes a snapshot. On an error the result tells how far it came: an image
// that is named there exists. A *PushError means that all but the push was done.
func (p *Pipeline) Run(ctx context.Context, req Request) (Result, error) {
	id, err := newID()
	if err != nil {
		return Result{}, err
	}
	j := &job{Pipeline: p, id: id, req: req}
	type part struct {
		step Step
		run  func(context.Context) error
	}
	publish := []part{{StepPush, j.push}, {StepRegister, j.register}}
	if p.RegisterFirst {
		slices.Reverse(publish)
	}
	steps := slices.Concat([]part{
		{StepPlan, j.makePlan},
		// Before preflight, which runs commands in the session: on Engine 20.10
		// one that starts while a commit pauses the session hangs both for ever.
		{StepLock, func(before context.Context) error {
			held, err := j.lock(before)
			ctx = held
			return err
		}},
		{StepPreflight, j.preflight},
		{StepCommit, j.commit},
		{StepClean, j.clean},
		{StepVerify, j.verify},
	}, publish, []part{{StepDelete, j.delete}})
	for _, s := range steps {
		if j.skip(s.step) {
			continue
		}
		j.step = s.step
		j.emit(Started, "")
		// Once the image has its name the run is seen through: an interrupt
		// then only ends the push.
		var err error
		if j.result.ImageID == "" {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = s.run(ctx)
		}
		if err != nil {
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, lock.ErrLost):
				err = fmt.Errorf("snapshot of session %q: %w", j.plan.session.Name, cause)
			case cause != nil && errors.Is(err, context.Canceled):
				interrupt := &InterruptError{Step: s.step}
				if j.result.ImageID != "" {
					interrupt.Image = j.result.Image
				}
				err = interrupt
			}
			j.emit(FailedStep, err.Error())
			return j.result, errors.Join(err, j.discard(ctx))
		}
		if s.step == StepPush && j.pushErr != nil {
			j.emit(FailedStep, push.Reason(j.pushErr))
			continue
		}
		j.emit(Done, "")
		if p.Stepped != nil {
			pending, err := j.pending(j.result)
			if err != nil {
				return j.result, errors.Join(err, j.discard(ctx))
			}
			p.Stepped(j.result, pending)
		}
	}
	if err := j.letGo(ctx); err != nil {
		return j.result, err
	}
	if j.pushErr != nil {
		return j.result, &PushError{Image: j.result.Image, Err: j.pushErr}
	}
	return j.result, nil
}

func (j *job) skip(s Step) bool {
	switch s {
	case StepPlan, StepPreflight:
		return false
	case StepPush:
		return j.req.DryRun || !j.plan.push
	case StepRegister:
		return j.req.DryRun || j.req.NoRegister
	case StepDelete:
		return j.req.DryRun || !j.req.Delete || j.pushErr != nil
	case StepLock, StepCommit, StepClean, StepVerify:
	}
	return j.req.DryRun
}

// unlock lets the next snapshot of the session begin. What fails here is
// warned of: the image is there.
func (j *job) unlock() error {
	if j.release == nil {
		return nil
	}
	err := j.release()
	j.release = nil
	if j.moreHeld {
		ctx, cancel := context.WithTimeout(context.Background(), tidyTimeout)
		defer cancel()
		err = errors.Join(err, lock.Remove(ctx, j.API, lock.Holder{Run: j.id}))
	}
	if err != nil {
		j.warn("%s", err)
		return nil
	}
	if j.guard != nil {
		j.guard.Done()
	}
	return nil
}

// discard removes what a snapshot that failed has made, also after an interrupt.
// An engine that went away is waited for. What cannot be done here is left to
// the guard.
func (j *job) discard(ctx context.Context) error {
	if j.release == nil {
		return nil
	}
	held := j.held
	var paused error
	if errors.Is(context.Cause(ctx), lock.ErrLost) {
		held.Note = "" // who has the lock now may hold the session still itself
		if j.note.holding {
			paused = fmt.Errorf("session %q may still be paused: resume it with `docker kasm start %s`", j.plan.session.Name, j.plan.session.Name)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	for {
		err := Tidy(ctx, j.API, held, TidyOptions{
			Patience: tidyTimeout - 10*time.Second, Unseen: tidyTimeout - 10*time.Second, Sure: j.guard != nil, Report: func(text string) { j.info("%s", text) },
		})
		if err == nil {
			return errors.Join(paused, j.unlock())
		}
		if errors.Is(err, errUnsure) && j.guard != nil {
			return fmt.Errorf("%w: its image is removed, and the session unlocked, in the background", err)
		}
		if !engine.ConnectionLost(err) {
			return errors.Join(err, j.release())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; what the snapshot left is removed by the next one of this session", err)
		case <-time.After(time.Second):
		}
	}
}
