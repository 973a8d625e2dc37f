package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/docker-kasm/docker-kasm/internal/task"
)

// metrics are those of one server.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

// newMetrics reads what the parts of the helper count anyway when it is scraped.
func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kasm_helper_request_duration_seconds", Help: "Time that requests of the API took, but for streams.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5},
		}, []string{"method", "route", "code"}),
	}
	m.registry.MustRegister(m.requests, s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (s *Server) scrape(w http.ResponseWriter, r *http.Request) error {
	promhttp.HandlerFor(s.counts.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// Metrics of the helper's parts.
//
//nolint:gochecknoglobals // descriptions, which are constants
var (
	descInfo       = prometheus.NewDesc("kasm_helper_build_info", "The helper's version; always 1.", []string{"version", "revision"}, nil)
	descConnected  = prometheus.NewDesc("kasm_helper_engine_connected", "Whether the engine answers.", nil, nil)
	descCalls      = prometheus.NewDesc("kasm_helper_engine_requests_total", "Requests to the engine by which availability is watched.", nil, nil)
	descEvents     = prometheus.NewDesc("kasm_helper_engine_events_total", "Events of the engine about images.", nil, nil)
	descImages     = prometheus.NewDesc("kasm_helper_engine_images", "Images that the engine has.", nil, nil)
	descWorkspaces = prometheus.NewDesc("kasm_helper_workspaces", "Workspaces by the availability of their images.", []string{"availability"}, nil)
	descBadFiles   = prometheus.NewDesc("kasm_helper_bad_files", "Workspace files that cannot be read.", nil, nil)
	descTasks      = prometheus.NewDesc("kasm_helper_tasks", "Tasks in the journal by state.", []string{"state"}, nil)
	descRegistry   = prometheus.NewDesc("kasm_helper_registry_requests_total", "Questions to registries, through the engine.", []string{"registry"}, nil)
	descAsked      = prometheus.NewDesc("kasm_helper_registry_last_request_timestamp_seconds", "When a registry was last asked.", []string{"registry"}, nil)
)

// Describe tells which metrics there are.
func (s *Server) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descInfo, descConnected, descCalls, descEvents, descImages, descWorkspaces, descBadFiles, descTasks, descRegistry, descAsked,
	} {
		c <- d
	}
}

// Collect reads the metrics.
func (s *Server) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descInfo, 1, s.Version.Version, s.Version.Commit)
	stats := s.Watcher.Stats()
	connected := 0.0
	if stats.Connected {
		connected = 1
	}
	gauge(descConnected, connected)
	counter(descCalls, float64(stats.Calls))
	counter(descEvents, float64(stats.Events))
	gauge(descImages, float64(stats.Images))
	for state, n := range s.byAvailability() {
		gauge(descWorkspaces, float64(n), string(state))
	}
	gauge(descBadFiles, float64(s.badFiles()))
	tasks := s.byState()
	for _, state := range task.States() {
		gauge(descTasks, float64(tasks[state]), string(state))
	}
	for _, r := range stats.Registries {
		counter(descRegistry, float64(r.Requests), r.Host)
		if !r.Asked.IsZero() {
			gauge(descAsked, float64(r.Asked.UnixNano())/float64(time.Second), r.Host)
		}
	}
}
