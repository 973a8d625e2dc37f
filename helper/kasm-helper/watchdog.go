package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// watchdog tells systemd, where that started the helper, that it is ready, and
// from then on that it still answers; by the same way as its clients ask.
func watchdog(ctx context.Context, socket string, log *slog.Logger) error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("tell systemd that the helper is ready: %w", err)
	}
	defer daemon.SdNotify(false, daemon.SdNotifyStopping) //nolint:errcheck // it sees that by itself
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read systemd's watchdog settings: %w", err)
	}
	if interval == 0 {
		<-ctx.Done()
		return nil
	}
	client := helperapi.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}, "watchdog", "")
	defer client.Close()
	ticker := time.NewTicker(interval / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		asked, cancel := context.WithTimeout(ctx, interval/3)
		_, err := client.Version(asked)
		cancel()
		if err != nil {
			log.Warn("the helper does not answer itself", "error", err)
			continue
		}
		if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
			log.Warn("tell systemd that the helper answers", "error", err)
		}
	}
}
