package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/machine"
	"github.com/keepsight/keepsight/server"
)

// The addresses of a service that nobody configured; client commands look for it there.
const (
	defaultListen = "127.0.0.1:7070"
	socketName    = "keepsight.sock"
)

type serveCommand struct {
	Config kong.ConfigFlag `placeholder:"FILE" help:"Read settings from a JSON object whose keys are these flags. Flags win over the environment, the environment over the file."`

	Listen     []string `default:"${listen}" env:"KEEPSIGHT_LISTEN" placeholder:"ADDRESS" help:"TCP addresses, or none. A public one needs --tls-cert and --tokens. (${default})"`
	Socket     string   `env:"KEEPSIGHT_SOCKET" placeholder:"PATH" help:"Unix socket, or none. (keepsight/keepsight.sock in the runtime directory)"`
	SocketMode fileMode `default:"0660" env:"KEEPSIGHT_SOCKET_MODE" placeholder:"MODE" help:"Permissions of the socket, octal. (${default})"`
	Hosts      []string `env:"KEEPSIGHT_HOSTS" placeholder:"NAME" help:"Further host names that requests may address; requests for other names are refused."`

	Memory        *bytesize.Size `env:"KEEPSIGHT_MEMORY" placeholder:"SIZE" help:"All the memory that the service takes, or a share of what is available. (25%, at most 8GiB)"`
	DiskDir       string         `env:"KEEPSIGHT_DISK_DIR" placeholder:"DIR" help:"Where the disk tier lives. (keepsight in the user's cache directory)"`
	DiskSize      *bytesize.Size `env:"KEEPSIGHT_DISK_SIZE" placeholder:"SIZE" help:"Disk that the disk tier takes, or a share of what is free; 0 for none. (10%, at most 50GiB)"`
	MaxObjectSize bytesize.Size  `default:"512MiB" env:"KEEPSIGHT_MAX_OBJECT_SIZE" placeholder:"SIZE" help:"Largest embedding that is accepted. (${default})"`

	Tokens  string `env:"KEEPSIGHT_TOKENS" placeholder:"FILE" help:"Who may do what; without it everybody who can connect may do everything."`
	TLSCert string `env:"KEEPSIGHT_TLS_CERT" placeholder:"FILE" help:"Certificate chain for TCP, PEM."`
	TLSKey  string `env:"KEEPSIGHT_TLS_KEY" placeholder:"FILE" help:"Private key for TCP, PEM."`

	DrainDelay   time.Duration `default:"5s" env:"KEEPSIGHT_DRAIN_DELAY" placeholder:"DURATION" help:"After SIGTERM, how long to serve on while /readyz says 503. (${default})"`
	DrainTimeout time.Duration `default:"25s" env:"KEEPSIGHT_DRAIN_TIMEOUT" placeholder:"DURATION" help:"After SIGTERM, when to stop at the latest. (${default})"`

	LogLevel  slog.Level `default:"info" env:"KEEPSIGHT_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error. (${default})"`
	LogFormat string     `default:"json" enum:"json,text" env:"KEEPSIGHT_LOG_FORMAT" placeholder:"FORMAT" help:"json or text. (${default})"`
}

// none turns a listener off.
const none = "none"

// fileMode is permission bits in octal.
type fileMode fs.FileMode

// UnmarshalText reads such as "0660" or "660".
func (m *fileMode) UnmarshalText(text []byte) error {
	mode, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || mode > uint64(fs.ModePerm) {
		return fmt.Errorf("%q: write permissions in octal, like 0660", text)
	}
	*m = fileMode(mode)
	return nil
}

// Run serves until SIGTERM, SIGINT or the end of ctx, then drains. A second signal ends it at once. SIGHUP
// reads tokens and certificates again.
func (c serveCommand) Run(ctx context.Context, streams Streams) error {
	config, err := c.config(streams)
	if err != nil {
		return err
	}
	// Before the service says that it is there: who reads that may send one at once.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	service, err := server.New(ctx, config)
	if err != nil {
		return refusal(err)
	}
	defer service.Close()
	announce(streams.Out, config, service)

	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				if err := service.Reload(); err != nil {
					config.Logger.Error("reload failed, the old tokens and certificate stay", "error", err)
				}
			case ctx.Err() != nil:
				service.Close()
				<-done
				return errors.New("ended by a second signal before everything was written")
			default:
				cancel()
			}
		}
	}
}

// refusal marks what starting again would not change, or not until somebody else stops, as a usage error.
func refusal(err error) error {
	for _, usage := range []error{server.ErrConfig, server.ErrAddressInUse, disktier.ErrLocked} {
		if errors.Is(err, usage) {
			return usageError{err}
		}
	}
	return err
}

// config turns flags and what the machine offers into the server's configuration.
func (c serveCommand) config(streams Streams) (server.Config, error) {
	level := &slog.HandlerOptions{Level: c.LogLevel}
	var handler slog.Handler = slog.NewJSONHandler(streams.Err, level)
	if c.LogFormat == "text" {
		handler = slog.NewTextHandler(streams.Err, level)
	}
	config := server.Config{
		Listen: c.Listen, SocketMode: fs.FileMode(c.SocketMode), Hosts: c.Hosts,
		TokensFile: c.Tokens, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		DrainDelay: c.DrainDelay, DrainTimeout: c.DrainTimeout,
		Logger: slog.New(handler), Version: buildVersion(),
	}
	if slices.Equal(c.Listen, []string{none}) {
		config.Listen = nil
	}
	var err error
	if config.Socket, err = c.socket(); err != nil {
		return config, err
	}
	memory, err := machine.ReadMemory(os.DirFS("/"))
	if err != nil {
		return config, err
	}
	if config.MemoryBytes, err = memoryBudget(c.Memory, memory); err != nil {
		return config, err
	}
	config.MaxObjectBytes = c.MaxObjectSize.Of(config.MemoryBytes)
	return config, c.disk(&config)
}

// disk fills in the disk tier: where and how large.
func (c serveCommand) disk(config *server.Config) (err error) {
	if c.DiskSize != nil && *c.DiskSize == (bytesize.Size{}) {
		return nil
	}
	if config.DiskDir = c.DiskDir; config.DiskDir == "" {
		if config.DiskDir, err = machine.CacheDir(); err != nil {
			return usagef("no directory for the disk tier (%w): give --disk-dir, or --disk-size 0 for none", err)
		}
	}
	disk, err := machine.ReadDisk(config.DiskDir)
	if err != nil {
		return usagef("--disk-dir: %w", err)
	}
	var warning string
	config.DiskBytes, warning, err = diskBudget(c.DiskSize, config.DiskDir, disk)
	if warning != "" {
		config.Logger.Warn(warning)
	}
	return err
}

// socket returns the path of the unix socket. The default one lies in a directory that we make, with the
// socket's protection in force before it exists.
func (c serveCommand) socket() (string, error) {
	switch c.Socket {
	case none:
		return "", nil
	case "":
		dir := machine.RuntimeDir()
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return "", usagef("no directory for the unix socket (%w): give --socket, or --socket none", err)
		}
		if err := machine.Ours(dir); err != nil {
			return "", usagef("the directory for the unix socket cannot be trusted: %w: give --socket", err)
		}
		return filepath.Join(dir, socketName), nil
	default:
		return c.Socket, nil
	}
}

// announce says what was chosen, to a person.
func announce(w io.Writer, config server.Config, service *server.Server) {
	scheme := "http"
	if config.TLSCert != "" {
		scheme = "https"
	}
	fmt.Fprintf(w, "keepsight %s serves\n", config.Version)
	fmt.Fprintf(w, "  memory   %s in all; the largest embedding is %s\n",
		bytesize.Format(config.MemoryBytes), bytesize.Format(service.MaxObjectBytes()))
	if config.DiskBytes > 0 {
		fmt.Fprintf(w, "  disk     %s in %s\n", bytesize.Format(config.DiskBytes), config.DiskDir)
	} else {
		fmt.Fprintln(w, "  disk     none: what leaves memory is lost")
	}
	if config.Socket != "" {
		fmt.Fprintf(w, "  socket   %s\n", config.Socket)
	}
	for _, address := range service.Addrs() {
		fmt.Fprintf(w, "  address  %s://%s/ (the live page)\n", scheme, reachable(address))
	}
}

// reachable returns an address that a browser on this machine can open: 0.0.0.0 and [::] stand for all of them.
func reachable(address net.Addr) string {
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return address.String()
}
