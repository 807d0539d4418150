package module

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"click-deploy.org/proxy/route"
)

// h2cTransport speaks HTTP/2 with prior knowledge.
func h2cTransport(t *testing.T) *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// h2cBackend is an application that speaks HTTP/2 without TLS and nothing else.
func h2cBackend(t *testing.T, id string, handler http.HandlerFunc) route.Replica {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return route.Replica{ID: id, Address: listener.Addr().String()}
}

func TestAStreamReachesTheClientPieceByPiece(t *testing.T) {
	proceed := make(chan struct{})
	stream := func(contentType, length string) http.HandlerFunc {
		return func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("Content-Type", contentType)
			if length != "" {
				writer.Header().Set("Content-Length", length)
			}
			for number := range 3 {
				_, _ = fmt.Fprintf(writer, "data: %d\n\n", number)
				_ = http.NewResponseController(writer).Flush()
				<-proceed
			}
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"events": stream("text/event-stream", ""), "chunks": stream("text/plain", ""), "known-length": stream("text/plain", "27"),
	} {
		setRoute(t, name+".test", liveRoute(name, backend(t, name+"-1", handler)))
		request, _ := http.NewRequest(http.MethodGet, "http://"+listenAddress, nil)
		request.Host = name + ".test"
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(response.Body)
		for number := range 3 {
			line, err := reader.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", number) {
				t.Fatalf("%s: %q, %v", name, line, err)
			}
			_, _ = reader.ReadString('\n')
			// After the last byte of a known length nothing is in flight, whatever the application does next.
			if number < 2 {
				expect(t, name+" in flight", instanceReport(t, name+"-1").InFlight, 1)
			}
			proceed <- struct{}{}
		}
		_, _ = io.Copy(io.Discard, reader)
		response.Body.Close()
		expect(t, name+" left", waitDrained(t, name+"-1").InFlight, 0)
	}
}

func TestAGRPCStreamGoesBothWaysOverHTTP2AndEndsWithItsTrailers(t *testing.T) {
	instance := h2cBackend(t, "grpc-1", func(writer http.ResponseWriter, request *http.Request) {
		if request.ProtoMajor != 2 || request.Header.Get("Te") != "trailers" {
			writer.WriteHeader(http.StatusTeapot)
			return
		}
		writer.Header().Set("Content-Type", "application/grpc")
		writer.Header().Set("Trailer", "Grpc-Status")
		writer.WriteHeader(http.StatusOK)
		controller := http.NewResponseController(writer)
		_ = controller.Flush()
		buffer := make([]byte, 100)
		for {
			count, err := request.Body.Read(buffer)
			_, _ = writer.Write(buffer[:count])
			_ = controller.Flush()
			if err != nil {
				break
			}
		}
		writer.Header().Set("Grpc-Status", "0")
	})
	setRoute(t, "grpc.test", liveRoute("grpc", instance))
	for _, contentType := range []string{"application/grpc", "application/grpc+proto"} {
		incoming, outgoing := io.Pipe()
		request, _ := http.NewRequest(http.MethodPost, "http://"+listenAddress+"/package.Service/Method", incoming)
		request.Host = "grpc.test"
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Te", "trailers")
		response, err := h2cTransport(t).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "status", response.StatusCode, http.StatusOK)
		for _, message := range []string{"one", "two"} {
			go func() { _, _ = io.WriteString(outgoing, message) }()
			answer := make([]byte, len(message))
			if _, err := io.ReadFull(response.Body, answer); err != nil || string(answer) != message {
				t.Fatalf("%q, %v", answer, err)
			}
		}
		expect(t, "in flight", instanceReport(t, "grpc-1").InFlight, 1)
		outgoing.Close()
		if _, err := io.ReadAll(response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		expect(t, "trailer", response.Trailer.Get("Grpc-Status"), "0")
		expect(t, "left", waitDrained(t, "grpc-1").InFlight, 0)
	}
}

func TestEverythingElseGoesToTheApplicationByHTTP1(t *testing.T) {
	setRoute(t, "http1.test", liveRoute("http1", backend(t, "http1-1", func(writer http.ResponseWriter, request *http.Request) {
		_, _ = io.WriteString(writer, request.Proto)
	})))
	request, _ := http.NewRequest(http.MethodGet, "http://"+listenAddress, nil)
	request.Host = "http1.test"
	response, err := h2cTransport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	expect(t, "from the client to us", response.Proto, "HTTP/2.0")
	expect(t, "from us to the application", string(body), "HTTP/1.1")
	// What browsers send instead of gRPC is plain HTTP.
	_, text := call(t, http.MethodPost, "http1.test", "", "Content-Type", "application/grpc-web+proto")
	expect(t, "gRPC-Web", text, "HTTP/1.1")
}

func TestWaitingForADrainOutlastsTheTimeoutsOfTheAdminEndpoint(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	setRoute(t, "patient.test", liveRoute("patient", backend(t, "patient-1", func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})))
	go call(t, http.MethodGet, "patient.test", "")
	<-entered
	time.AfterFunc(11*time.Second, func() { close(leave) })
	found := adminOK[drained](t, http.MethodGet, "/instances/patient-1/drained?timeout_ms=30000", nil)
	if found.InFlight != 0 || found.WaitedMS < 10_500 || found.WaitedMS > 20_000 {
		t.Errorf("%+v", found)
	}
}
