// The smallest application that the load tests need: it says who it is, gives back what was posted, echoes WebSocket
// frames, and ends as a good server does: what is under way is finished first.
package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	// The text of a deployment that comes as an image is told by a variable.
	who := "text of " + os.Getenv("TEXT") + " " + os.Getenv("CLICK_DEPLOY_DEPLOYMENT_ID") + "\n"
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_, _ = w.Write(body)
			return
		}
		_, _ = io.WriteString(w, who)
	})
	http.HandleFunc("/socket", echo)
	server := &http.Server{Addr: ":" + port}
	ended := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		<-signals
		limit, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		_ = server.Shutdown(limit)
		close(ended)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}

// echo speaks as much of RFC 6455 as a test needs: short masked frames, given back unmasked.
func echo(w http.ResponseWriter, r *http.Request) {
	hijacker, ok := w.(http.Hijacker)
	if !ok || r.Header.Get("Sec-WebSocket-Key") == "" {
		http.Error(w, "this is a WebSocket", http.StatusBadRequest)
		return
	}
	connection, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	digest := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(digest[:]) + "\r\n\r\n")
	for buffered.Flush() == nil {
		payload, err := readFrame(buffered.Reader)
		if err != nil {
			return
		}
		_, _ = buffered.Write([]byte{0x81, byte(len(payload))})
		_, _ = buffered.Write(payload)
	}
}

func readFrame(reader *bufio.Reader) ([]byte, error) {
	var head struct {
		Kind, Length byte
		Mask         [4]byte
	}
	if err := binary.Read(reader, binary.BigEndian, &head); err != nil {
		return nil, err
	}
	if head.Kind&0x0f == 8 || head.Length&0x7f > 125 {
		return nil, io.EOF
	}
	payload := make([]byte, head.Length&0x7f)
	if _, err := io.ReadFull(reader, payload); err != nil {
		return nil, err
	}
	for at := range payload {
		payload[at] ^= head.Mask[at%4]
	}
	return payload, nil
}
