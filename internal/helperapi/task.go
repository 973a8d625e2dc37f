package helperapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/task"
)

// Kinds of tasks.
const (
	TaskSnapshot = "snapshot"
	TaskPull     = "pull"
)

// Credentials are those for registries, by host. They go to the helper with a
// request, and stay in its memory.
type Credentials map[string]registry.AuthConfig

const redacted = "[redacted]"

// String hides the credentials.
func (Credentials) String() string { return redacted }

// Format hides the credentials, whatever the verb.
func (Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the credentials.
func (Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// NewTask asks for a task: one of its kinds is set.
type NewTask struct {
	Snapshot *Snapshot `json:"Snapshot,omitempty"`
	Pull     *Pull     `json:"Pull,omitempty"`
	// Credentials are those of the registries that it has to do with.
	Credentials Credentials `json:"Credentials,omitempty"`
}

// Snapshot is what a snapshot is to be. Its fields are those of
// snapshot.Request.
type Snapshot struct {
	Session       string   `json:"Session"`
	Reference     string   `json:"Reference,omitempty"`
	Registry      string   `json:"Registry,omitempty"`
	Prefix        string   `json:"Prefix,omitempty"`
	Changes       []string `json:"Changes,omitempty"`
	Author        string   `json:"Author,omitempty"`
	Message       string   `json:"Message,omitempty"`
	NoPause       bool     `json:"NoPause,omitempty"`
	Push          bool     `json:"Push,omitempty"`
	NoRegister    bool     `json:"NoRegister,omitempty"`
	FriendlyName  string   `json:"FriendlyName,omitempty"`
	KeepEnv       []string `json:"KeepEnv,omitempty"`
	KeepLabels    []string `json:"KeepLabels,omitempty"`
	IncludeMounts []string `json:"IncludeMounts,omitempty"`
	Flatten       bool     `json:"Flatten,omitempty"`
	NoWait        bool     `json:"NoWait,omitempty"`
	// Delete deletes the session once its image is registered.
	Delete bool `json:"Delete,omitempty"`
	// UTCOffset is that of the user's clock, in seconds, for generated names.
	UTCOffset int `json:"UTCOffset,omitempty"`
	// RegistryHost is the registry that it is pushed to, "" for no push.
	RegistryHost string `json:"RegistryHost,omitempty"`
	// Parent is the session's workspace where that is in the user's catalog,
	// which the helper does not see. Blank values of its environment are those
	// of the session.
	Parent *Workspace `json:"Parent,omitempty"`
}

// Pull is an image to pull.
type Pull struct {
	Image string `json:"Image"`
}

// RetryTask brings what a task needs to be tried again.
type RetryTask struct {
	Credentials Credentials `json:"Credentials,omitempty"`
}

// TaskList is a list of tasks, the oldest first.
type TaskList struct {
	Tasks []task.Task `json:"Tasks"`
}

// taskPath is where the helper has a task. Paths of some ids lead elsewhere: no
// task has those.
func taskPath(id, rest string) (string, error) {
	switch id {
	case "":
		return "", &task.AmbiguousError{}
	case ".", "..":
		return "", &task.NotFoundError{ID: id}
	}
	return "/" + Version + "/tasks/" + url.PathEscape(id) + rest, nil
}

// SubmitTask has the helper do something in the background.
func (c *Client) SubmitTask(ctx context.Context, n NewTask) (task.Task, error) {
	return send[task.Task](ctx, c, http.MethodPost, "/"+Version+"/tasks", n)
}

// Tasks lists the tasks, the oldest first.
func (c *Client) Tasks(ctx context.Context) ([]task.Task, error) {
	list, err := get[TaskList](ctx, c, "/"+Version+"/tasks")
	return list.Tasks, err
}

// Task looks at one task; id may be a unique prefix, here and below.
func (c *Client) Task(ctx context.Context, id string) (task.Task, error) {
	path, err := taskPath(id, "")
	if err != nil {
		return task.Task{}, err
	}
	return get[task.Task](ctx, c, path)
}

// CancelTask cancels a task that has not ended.
func (c *Client) CancelTask(ctx context.Context, id string) error {
	path, err := taskPath(id, "/cancel")
	if err != nil {
		return err
	}
	_, err = send[task.Task](ctx, c, http.MethodPost, path, nil)
	return err
}

// RetryTask has a task go on that failed, was interrupted, or waits for
// credentials.
func (c *Client) RetryTask(ctx context.Context, id string, r RetryTask) (task.Task, error) {
	path, err := taskPath(id, "/retry")
	if err != nil {
		return task.Task{}, err
	}
	return send[task.Task](ctx, c, http.MethodPost, path, r)
}

// RemoveTask removes a task that has ended, with its log.
func (c *Client) RemoveTask(ctx context.Context, id string) error {
	path, err := taskPath(id, "")
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: http.MethodDelete, path: path})
}

// TaskLog reads a task's log: what there is, and with follow what comes until
// the task ends.
func (c *Client) TaskLog(ctx context.Context, id string, follow bool) iter.Seq2[task.Line, error] {
	path, err := taskPath(id, "/log")
	if follow {
		path += "?follow=true"
	}
	return func(yield func(task.Line, error) bool) {
		if err != nil {
			yield(task.Line{}, err)
			return
		}
		resp, err := c.do(ctx, request{method: http.MethodGet, path: path})
		if err != nil {
			yield(task.Line{}, err)
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for {
			data, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) && len(data) == 0 {
				return
			}
			var line task.Line
			if err == nil {
				err = json.Unmarshal(data, &line)
			}
			if err != nil {
				yield(task.Line{}, fmt.Errorf("read the task's log: %w", cause(err)))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}

// send sends a body, and decodes the answer.
func send[T any](ctx context.Context, c *Client, method, path string, body any) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := c.do(ctx, request{method: method, path: path, body: body})
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	return out, decode(resp.Body, &out)
}
