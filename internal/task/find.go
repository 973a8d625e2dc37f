package task

import (
	"cmp"
	"slices"
	"strings"
)

// Filter chooses tasks. An empty field chooses all.
type Filter struct {
	States []State
	Kinds  []string
	Key    string
	Owner  string
}

func (f Filter) match(t Task) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, t.State)) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, t.Kind)) &&
		(f.Key == "" || f.Key == t.Key) && (f.Owner == "" || f.Owner == t.Owner)
}

// List returns the tasks that filter chooses, the oldest first.
func (s *Store) List(filter Filter) []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Task
	for _, e := range s.entries {
		if filter.match(e.task) {
			list = append(list, e.task.clone())
		}
	}
	slices.SortFunc(list, func(a, b Task) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return list
}

// Get returns the task with an id, or whose id alone begins with it.
func (s *Store) Get(id string) (Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	if err != nil {
		return Task{}, err
	}
	return e.task.clone(), nil
}

// find is called under mu.
func (s *Store) find(id string) (*entry, error) {
	if e := s.entries[id]; e != nil {
		return e, nil
	}
	var ids []string
	alike := map[int][]string{}
	for known := range s.entries {
		if strings.HasPrefix(known, id) {
			ids = append(ids, known)
		}
		n := common(known, id)
		alike[n] = append(alike[n], known)
	}
	slices.Sort(ids)
	switch {
	case id == "" || len(ids) > 1:
		return nil, &AmbiguousError{Prefix: id, IDs: ids}
	case len(ids) == 1:
		return s.entries[ids[0]], nil
	}
	for n := len(id); n >= 2; n-- {
		if near := alike[n]; len(near) > 0 {
			slices.Sort(near)
			return nil, &NotFoundError{ID: id, Near: near[:min(len(near), 3)]}
		}
	}
	return nil, &NotFoundError{ID: id}
}

// common counts the bytes that a and b begin alike with.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
