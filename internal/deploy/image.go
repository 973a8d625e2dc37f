package deploy

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
)

// Platform is the platform that an engine's containers run on, such as
// linux/amd64.
func Platform(info system.Info) (string, error) {
	if info.OSType != "linux" {
		return "", fmt.Errorf("the helper runs on engines with Linux containers, and this one has %s", info.OSType)
	}
	switch info.Architecture {
	case "x86_64", "amd64":
		return "linux/amd64", nil
	case "aarch64", "arm64":
		return "linux/arm64", nil
	}
	return "", fmt.Errorf("there is no helper for this engine's architecture, %s", info.Architecture)
}

// Image makes an image of the helper's program on the engine, unless that has it,
// and returns its name. Of the options it uses Binary, Version and Report.
func Image(ctx context.Context, api API, o Options) (string, error) {
	info, err := api.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine for its platform: %w", err)
	}
	return ensureImage(ctx, api, o, info)
}

// ensureImage makes an image of the helper's program, with nothing else in it,
// unless the engine has it.
func ensureImage(ctx context.Context, api API, o Options, info system.Info) (string, error) {
	platform, err := Platform(info)
	if err != nil {
		return "", err
	}
	program, err := o.Binary(platform)
	if err != nil {
		return "", err
	}
	defer program.Close()
	ref := repository + ":" + program.Digest[:min(16, len(program.Digest))]
	_, err = api.ImageInspect(ctx, ref)
	if err == nil {
		return ref, nil
	}
	if !cerrdefs.IsNotFound(err) {
		return "", fmt.Errorf("look for the helper's image: %w", err)
	}
	o.Report(fmt.Sprintf("sending the helper (%s) to the engine", platform))
	read, write := io.Pipe()
	go func() { _ = write.CloseWithError(pack(write, program)) }()
	defer read.Close()
	answer, err := api.ImageImport(ctx, image.ImportSource{Source: read, SourceName: "-"}, ref, image.ImportOptions{
		Message: "docker kasm helper install", Platform: platform,
		Changes: []string{
			`ENTRYPOINT ["/` + dial.Binary + `"]`, `CMD ["serve"]`,
			"LABEL " + dial.LabelKind + "=" + dial.Container, "LABEL " + labelVersion + "=" + strconv.Quote(o.Version),
		},
	})
	if err != nil {
		return "", fmt.Errorf("make the helper's image: %w", err)
	}
	defer answer.Close()
	if err := jsonmessage.DisplayJSONMessagesStream(answer, io.Discard, 0, false, nil); err != nil {
		return "", fmt.Errorf("make the helper's image: %w", err)
	}
	return ref, nil
}

func pack(w io.Writer, program Binary) error {
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Name: dial.Binary, Mode: 0o755, Size: program.Size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.Copy(out, program); err != nil {
		return fmt.Errorf("read the helper's program: %w", err)
	}
	return out.Close()
}

// lastLog is the last line that the helper has logged.
func lastLog(ctx context.Context, api API) string {
	logs, err := api.ContainerLogs(ctx, dial.Volume, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	defer logs.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, logs); err != nil && !errors.Is(err, io.EOF) {
		return "its log cannot be read: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	return display.Line(lines[len(lines)-1])
}
