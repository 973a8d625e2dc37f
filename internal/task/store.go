package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Options of a store. A zero field stands for its default.
type Options struct {
	// Dir is the folder of the journal; it is made if it is not there.
	Dir string
	// AtOnce is how many tasks run at once, 2 by default.
	AtOnce int
	// Queue is how many tasks may wait for their turn, 100 by default.
	Queue int
	// Keep is how many ended tasks are kept, 200 by default, and KeepFor for how
	// long, 30 days by default.
	Keep    int
	KeepFor time.Duration
	// LogSize is how large the log of a task may grow in bytes, 4 MiB by default.
	LogSize int64
	// Grace is how long Close waits for tasks that it has interrupted, 30 seconds
	// by default.
	Grace time.Duration
	// Report is told what goes wrong while nobody waits for an answer; nil tells
	// nobody. It must not call the store.
	Report func(error)

	// around is the journal's, for tests.
	around func(change, name string, do func() error) error
}

func (o Options) withDefaults() Options {
	set := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&o.AtOnce, 2)
	set(&o.Queue, 100)
	set(&o.Keep, 200)
	if o.KeepFor <= 0 {
		o.KeepFor = 30 * 24 * time.Hour
	}
	if o.LogSize <= 0 {
		o.LogSize = 4 << 20
	}
	if o.Grace <= 0 {
		o.Grace = 30 * time.Second
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	return o
}

// Func does what tasks of a kind are for. When its context ends, it tidies up
// and returns: context.Cause gives ErrCancelled or ErrShutdown. A panic in it is
// a failure of the task; one in a goroutine that it starts ends the helper.
type Func func(ctx context.Context, run *Run) error

// Store is the journal of tasks and what runs them. Its methods may be called at
// the same time.
type Store struct {
	options Options
	journal *journal
	// base is what the contexts of tasks come from.
	base      context.Context
	interrupt context.CancelCauseFunc
	// tasks counts the functions that run, house is the housekeeper.
	tasks, house sync.WaitGroup

	once     sync.Once
	closeErr error
	giveUp   sync.Once
	// hopeless is closed when tasks that are interrupted are not waited for.
	hopeless chan struct{}

	// mu is held for moments only, never over a change of a file.
	mu      sync.Mutex
	kinds   map[string]Func
	entries map[string]*entry
	// queue has the tasks whose turn comes, the first first; promised are places
	// in it that are about to be filled.
	queue    []*entry
	promised int
	// places counts the tasks that run, or are about to; keys are theirs.
	places      int
	keys        map[string]bool
	subscribers map[*Subscription]bool
	last        time.Time
	started     bool
	// stopping is set when no more tasks begin, closed when nothing is written
	// any more.
	stopping, closed bool
	// stop ends the housekeeper.
	stop chan struct{}
}

// entry is a task in memory.
type entry struct {
	id  string
	log *taskLog

	// write is held while the task changes, on disk and then here. It is locked
	// before the store's mu.
	write sync.Mutex

	// What follows is read under mu or write, and changed under both.
	task Task
	// gone is set when the task was removed, unsaved when the journal has not got
	// the last change.
	gone, unsaved bool
	// run is the attempt under way, nil without one.
	run *Run

	// What follows is of mu.
	secrets   Secret[any]
	progress  progress
	followers int
	// changed is closed when there is something new for followers.
	changed chan struct{}
}

// Open reads the journal. What was running is interrupted, what was queued is
// queued again, unless it needs secrets that are gone. bad are the files that
// could not be read; they were set aside, and hide no other. ErrInUse means that
// another process has the folder.
func Open(options Options) (store *Store, bad []error, err error) {
	options = options.withDefaults()
	journal, err := openJournal(options.Dir)
	if err != nil {
		return nil, nil, err
	}
	journal.around = options.around
	tasks, bad, err := journal.load()
	if err != nil {
		return nil, nil, errors.Join(err, journal.close())
	}
	s := &Store{
		options: options, journal: journal,
		kinds: map[string]Func{}, entries: map[string]*entry{}, keys: map[string]bool{},
		subscribers: map[*Subscription]bool{}, stop: make(chan struct{}), hopeless: make(chan struct{}),
	}
	for _, t := range tasks {
		if err := s.recover(s.add(t, Secret[any]{})); err != nil {
			bad = append(bad, err)
		}
	}
	s.tidy()
	return s, bad, nil
}

// add shows a task that is in the journal.
func (s *Store) add(t Task, secrets Secret[any]) *entry {
	e := &entry{
		id: t.ID, secrets: secrets, changed: make(chan struct{}),
		log: &taskLog{journal: s.journal, name: t.ID + logExtension, most: s.options.LogSize},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[t.ID] = e
	s.show(e, t)
	return e
}

// recover tells what became of a task as its helper ended.
func (s *Store) recover(e *entry) error {
	e.write.Lock()
	defer e.write.Unlock()
	switch t := e.task; {
	case t.State == Running:
		return s.end(e, Interrupted, "the helper ended "+where(t.Step))
	case t.State == Queued && t.WithSecrets:
		return s.end(e, Waiting, "the helper was started again and has the credentials no more: "+retryHint(t.ID))
	}
	return nil
}

// Register gives the function for tasks of a kind, which is lower-case letters,
// digits and dashes. It panics if it is called after Start, or twice for a kind.
func (s *Store) Register(kind string, do Func) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.kinds[kind] != nil || !kindForm.MatchString(kind) || do == nil {
		panic(fmt.Sprintf("task: kind %q cannot be registered, or not any more", kind))
	}
	s.kinds[kind] = do
}

// Start begins to run tasks, with the values of ctx. Once ctx has ended they are
// interrupted and none begins; Close is to be called none the less.
func (s *Store) Start(ctx context.Context) {
	defer s.dispatch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.stopping {
		return
	}
	s.started = true
	s.base, s.interrupt = context.WithCancelCause(context.WithoutCancel(ctx))
	s.house.Go(func() { s.keepHouse(ctx) })
}
