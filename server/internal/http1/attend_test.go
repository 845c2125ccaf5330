package http1

import (
	"net/http"
	"testing"
)

// An attendance is a handler that waits, and says so.
type attendance struct {
	began, left, goOn chan struct{}
	forget            bool // to stop
}

func newAttendance() *attendance {
	return &attendance{began: make(chan struct{}, 1), left: make(chan struct{}, 1), goOn: make(chan struct{})}
}

func (a *attendance) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/wait" {
		echo(w, r)
		return
	}
	ctx, stop := w.(*Response).Attend(r.Context())
	a.began <- struct{}{}
	select {
	case <-ctx.Done():
		a.left <- struct{}{}
	case <-a.goOn:
	}
	if !a.forget {
		stop()
		stop()
	}
	respond(w, http.StatusOK, "waited")
}

// everywhere runs a test on each network.
func everywhere(t *testing.T, test func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) { test(t, network) })
	}
}

// TestAttendLeaving tells a handler that waits of a client that leaves.
func TestAttendLeaving(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		a := newAttendance()
		f := serve(t, network, a.handle)
		c := f.dial()
		c.send(plain("/wait"))
		wait(t, "the request", a.began)
		c.Close()
		wait(t, "the news that the client left", a.left)
	})
}

// TestAttendStaying answers a client that stays, and its next request, whether the handler stops or only returns.
func TestAttendStaying(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		for _, forget := range []bool{false, true} {
			a := newAttendance()
			a.forget = forget
			f := serve(t, network, a.handle)
			c := f.dial()
			for range 3 {
				c.send(plain("/wait"))
				wait(t, "the request", a.began)
				a.goOn <- struct{}{}
				c.want(answer("waited"))
				c.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
				c.want(answer(`POST /b "abc"`))
			}
		}
	})
}

// TestAttendPipelined takes a client that sends its next request while a handler waits to be there, and loses nothing
// of the request.
func TestAttendPipelined(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		a := newAttendance()
		f := serve(t, network, a.handle)
		c := f.dial()
		for _, pieces := range [][2]string{{plain("/wait"), plain("/next")}, {plain("/wait") + plain("/next"), ""}} {
			c.send(pieces[0])
			wait(t, "the request", a.began)
			c.send(pieces[1])
			a.goOn <- struct{}{}
			c.want(answer("waited"))
			c.want(answer(`GET /next ""`))
		}
		select {
		case <-a.left:
			t.Error("the client counts as gone")
		default:
		}
	})
}

// TestAttendUnreadBody does not watch a client whose body is still to be read: the body is not its end.
func TestAttendUnreadBody(t *testing.T) {
	a := newAttendance()
	f := serve(t, "tcp", a.handle)
	c := f.dial()
	c.send("POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
	wait(t, "the request", a.began)
	a.goOn <- struct{}{}
	c.want(answer("waited"))
	c.send("abc" + plain("/next"))
	c.want(answer(`GET /next ""`))
}

// TestAttendClose ends the waiting when the server closes.
func TestAttendClose(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		a := newAttendance()
		f := serve(t, network, a.handle)
		c := f.dial()
		c.send(plain("/wait"))
		wait(t, "the request", a.began)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wait(t, "the end of waiting", a.left)
	})
}
