package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
)

// TestTidyLeavesOnlyTheName has clients go away while an image gets its name, until
// the image has both its name and the entry of one without, which a containerd store
// keeps then, and tidies up as after a snapshot that was killed.
func TestTidyLeavesOnlyTheName(t *testing.T) {
	newSuite(t)
	ctx := t.Context()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := engine.Inspect(ctx, api); err != nil || info.Store != engine.Containerd {
		t.Skipf("no containerd store: %v", err)
	}
	t.Cleanup(func() { cleanUp("e2edangling") })
	c, err := api.ContainerCreate(ctx, &container.Config{Image: baseImage}, nil, nil, nil, "e2edangling")
	if err != nil {
		t.Fatal(err)
	}
	const label = snapshot.LabelSnapshot + ".id"
	for i := range 400 {
		run, name := fmt.Sprintf("e2edangling%d", i), fmt.Sprintf("e2edangling:%d", i)
		made, err := api.ContainerCommit(ctx, c.ID, container.CommitOptions{Config: &container.Config{Labels: map[string]string{label: run}}})
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(500+i%60*100)*time.Microsecond)
		_ = api.ImageTag(short, made.ID, name)
		cancel()
		dangling := func() int {
			t.Helper()
			list, err := api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("dangling", "true"), filters.Arg("label", label+"="+run))})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		hasName := func() bool {
			img, err := api.ImageInspect(ctx, name)
			return err == nil && img.ID == made.ID
		}
		if hasName() && dangling() > 0 {
			if err := snapshot.Tidy(ctx, api, lock.Holder{Key: c.ID, Run: run}, snapshot.TidyOptions{}); err != nil {
				t.Fatal(err)
			}
			if n := dangling(); n > 0 || !hasName() {
				t.Errorf("after %d names: %d entries without a name are left, and the image has its name: %t", i, n, hasName())
			}
			return
		}
		if _, err := api.ImageRemove(ctx, made.ID, image.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip("no client was gone at the right moment")
}
