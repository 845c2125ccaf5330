package http1

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
)

// BenchmarkRequest is a small GET by one connection, over loopback: what a request costs beside its handler.
func BenchmarkRequest(b *testing.B) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"application/octet-stream"}
		h["Content-Length"] = []string{"2"}
		_, _ = io.WriteString(w, "ok")
	}
	ask := func(b *testing.B, addr net.Addr) {
		conn, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		request, buf := []byte("GET /a HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nAuthorization: Bearer x\r\n\r\n"), make([]byte, 4<<10)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := conn.Write(request); err != nil {
				b.Fatal(err)
			}
			n, err := conn.Read(buf)
			if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\nok")) {
				b.Fatalf("%q, %v", buf[:n], err)
			}
		}
	}
	b.Run("http1", func(b *testing.B) { ask(b, serve(b, "tcp", handler).addr) })
	b.Run("net-http", func(b *testing.B) {
		l := listen(b, "tcp")
		s := &http.Server{Handler: http.HandlerFunc(handler)}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		ask(b, l.Addr())
		s.Close()
		<-done
	})
}
