package server
import ("testing";"net";"bufio")
func BenchmarkZZLive(b *testing.B){
	v := start(b)
	conn, _ := net.Dial("unix", v.config.Socket)
	defer conn.Close()
	ex := []byte("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r := bufio.NewReaderSize(conn, 64<<10); buf := make([]byte, 64<<10)
	timeEach(b, func(){ conn.Write(ex); countHits(r, buf) })
}
