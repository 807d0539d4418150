package module

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"click-deploy.org/proxy/route"
)

func TestARequestReachesTheInstanceOfItsHostWhateverTheSpelling(t *testing.T) {
	setRoute(t, "spelling.test", liveRoute("spelling", backend(t, "spelling-1", says("hello"))))
	for _, host := range []string{"spelling.test", "SPELLING.test", "spelling.test.", "spelling.test:8080"} {
		response, body := call(t, http.MethodGet, host, "")
		expect(t, host, fmt.Sprint(response.StatusCode, body), "200hello")
	}
}

func TestFiveHundredSwapsUnderLoadLoseNothingAndNoDrainedInstanceIsReached(t *testing.T) {
	var late, failed, served atomic.Int64
	start := func(number int) (route.Replica, *atomic.Bool) {
		drained := &atomic.Bool{}
		return backend(t, fmt.Sprint("swap-", number), func(writer http.ResponseWriter, request *http.Request) {
			if drained.Load() {
				late.Add(1)
			}
			_, _ = io.Copy(writer, request.Body)
			if drained.Load() {
				late.Add(1)
			}
		}), drained
	}
	current, flag := start(0)
	setRoute(t, "swap.test", liveRoute("swap", current))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for client := range 6 {
		clients.Go(func() {
			for number := 0; ; number++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprint("body ", client, " ", number)
				response, content := call(t, http.MethodPost, "swap.test", body)
				if response.StatusCode != http.StatusOK || content != body {
					failed.Add(1)
					t.Log(response.StatusCode, content)
				}
				served.Add(1)
			}
		})
	}
	for number := range 500 {
		next, nextFlag := start(number + 1)
		change := setRoute(t, "swap.test", liveRoute("swap", next))
		expect(t, "removed", strings.Join(change.RemovedInstances, ","), current.ID)
		expect(t, "left in flight", waitDrained(t, current.ID).InFlight, 0)
		flag.Store(true)
		current, flag = next, nextFlag
	}
	close(stop)
	clients.Wait()
	if failed.Load() != 0 || late.Load() != 0 || served.Load() < 500 {
		t.Errorf("of %d requests %d failed and %d were late", served.Load(), failed.Load(), late.Load())
	}
	t.Logf("%d requests during 500 swaps", served.Load())
}

func TestASwitchDoesNotWaitForTheOldInstanceAndLetsItsRequestFinish(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	old := backend(t, "slow-old", func(writer http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(writer, "old")
	})
	setRoute(t, "slow.test", liveRoute("slow", old))
	answer := make(chan string)
	go func() {
		_, body := call(t, http.MethodPost, "slow.test", "x")
		answer <- body
	}()
	<-entered
	setRoute(t, "slow.test", liveRoute("slow", backend(t, "slow-new", says("new"))))
	_, body := call(t, http.MethodGet, "slow.test", "")
	expect(t, "a request after the switch", body, "new")
	short := adminOK[drained](t, http.MethodGet, "/instances/slow-old/drained?timeout_ms=30", nil)
	expect(t, "in flight", short.InFlight, 1)
	expect(t, "removed", instanceReport(t, "slow-old").Removed, true)
	close(leave)
	expect(t, "the request before the switch", <-answer, "old")
	expect(t, "left in flight", waitDrained(t, "slow-old").InFlight, 0)
}

func TestAnotherReplicaIsTriedWhenOneRefusesTheConnection(t *testing.T) {
	dead := route.Replica{ID: "retry-dead", Address: freeAddress()}
	setRoute(t, "retry.test", liveRoute("retry", dead, backend(t, "retry-live", func(writer http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(writer, request.Body)
	})))
	for range 20 {
		response, body := call(t, http.MethodPost, "retry.test", "payload")
		expect(t, "answer", fmt.Sprint(response.StatusCode, body), "200payload")
	}
	report := instanceReport(t, "retry-dead")
	if report.Errors == 0 || report.Errors != report.Requests || report.InFlight != 0 {
		t.Errorf("the dead one: %+v", report)
	}
	expect(t, "errors of the live one", instanceReport(t, "retry-live").Errors, 0)
}

func TestARequestThatWasSentIsNeverSentAgain(t *testing.T) {
	var reached atomic.Int64
	hangUp := func(writer http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		connection, _, _ := http.NewResponseController(writer).Hijack()
		connection.Close()
	}
	setRoute(t, "once.test", liveRoute("once", backend(t, "once-1", hangUp), backend(t, "once-2", hangUp)))
	for number, method := range []string{http.MethodPost, http.MethodGet} {
		response, body := call(t, method, "once.test", "", "Click-Deploy-Probe", "1")
		expect(t, "status", response.StatusCode, http.StatusBadGateway)
		expect(t, "requests", reached.Load(), int64(number+1))
		expect(t, "instance on the page", response.Header.Get("Click-Deploy-Instance"), "")
		if !strings.Contains(body, "closed the connection") {
			t.Error(body)
		}
	}
	expect(t, "in flight", instanceReport(t, "once-1").InFlight+instanceReport(t, "once-2").InFlight, 0)
}

func TestAServiceWhoseInstancesAllRefuseHasAPageThatSaysSo(t *testing.T) {
	setRoute(t, "refused.test", liveRoute("refused", route.Replica{ID: "refused-1", Address: freeAddress()}, route.Replica{ID: "refused-2", Address: freeAddress()}))
	response, body := call(t, http.MethodGet, "refused.test", "", "Accept", "text/html")
	expect(t, "status", response.StatusCode, http.StatusBadGateway)
	if !strings.Contains(body, "refused does not accept connections") || response.Header.Get("Cache-Control") != "no-store" {
		t.Error(response.Header, body)
	}
	metrics := adminOK[route.Metrics](t, http.MethodGet, "/metrics", nil).Services["svc_refused"]
	if metrics.Requests != 1 || metrics.ServerErrors != 1 || metrics.InFlight != 0 || metrics.ResponseBytes != uint64(len(body)) {
		t.Errorf("%+v", metrics)
	}
}

func TestAClientThatGoesAwayAndAnAnswerThatBreaksOffLeaveNoCountBehind(t *testing.T) {
	entered := make(chan struct{}, 1)
	instance := backend(t, "abort-1", func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPut {
			writer.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(writer, "some")
			_ = http.NewResponseController(writer).Flush()
			panic(http.ErrAbortHandler)
		}
		entered <- struct{}{}
		<-request.Context().Done()
	})
	setRoute(t, "abort.test", liveRoute("abort", instance))
	ctx, cancel := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listenAddress, nil)
	request.Host = "abort.test"
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if response, err := http.DefaultTransport.RoundTrip(request); err == nil {
			response.Body.Close()
		}
	}()
	<-entered
	expect(t, "in flight", instanceReport(t, "abort-1").InFlight, 1)
	cancel()
	<-gone
	expect(t, "left after the client went", waitDrained(t, "abort-1").InFlight, 0)
	expect(t, "errors of the instance", instanceReport(t, "abort-1").Errors, 0)

	broken, _ := http.NewRequest(http.MethodPut, "http://"+listenAddress, nil)
	broken.Host = "abort.test"
	response, err := http.DefaultTransport.RoundTrip(broken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("half an answer looked like a whole one")
	}
	response.Body.Close()
	expect(t, "left after the answer broke off", waitDrained(t, "abort-1").InFlight, 0)
	expect(t, "errors of the instance", instanceReport(t, "abort-1").Errors, 1)
	expect(t, "in flight of the service", adminOK[route.Metrics](t, http.MethodGet, "/metrics", nil).Services["svc_abort"].InFlight, 0)
}

// upgradeEcho is an application that takes any upgrade and sends back every line.
func upgradeEcho(writer http.ResponseWriter, request *http.Request) {
	connection, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	_, _ = fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nClick-Deploy-Deployment: forged\r\n\r\n", request.Header.Get("Upgrade"))
	_, _ = io.Copy(connection, buffered)
}

func openUpgraded(t *testing.T, host string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	connection, err := net.Dial("tcp", listenAddress)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	_, _ = fmt.Fprintf(connection, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", host)
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return connection, reader, response
}

func TestAWebSocketIsCountedAndSurvivesChangesOfOtherHostsAndAReload(t *testing.T) {
	setRoute(t, "socket.test", liveRoute("socket", backend(t, "socket-1", upgradeEcho)))
	connection, reader, response := openUpgraded(t, "socket.test")
	expect(t, "status", response.StatusCode, http.StatusSwitchingProtocols)
	expect(t, "a header that only we may set", response.Header.Get("Click-Deploy-Deployment"), "")
	echo := func(line string) {
		t.Helper()
		_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(connection, line+"\n")
		if found, err := reader.ReadString('\n'); err != nil || found != line+"\n" {
			t.Fatalf("%q, %v", found, err)
		}
	}
	echo("first")
	expect(t, "in flight", instanceReport(t, "socket-1").InFlight, 1)
	for number := range 50 {
		setRoute(t, "other.test", liveRoute("other", route.Replica{ID: fmt.Sprint("other-", number), Address: "127.0.0.1:9"}))
	}
	echo("after changes")
	reload(t)
	echo("after a reload")
	expect(t, "in flight after a reload", instanceReport(t, "socket-1").InFlight, 1)
	setRoute(t, "socket.test", liveRoute("socket", backend(t, "socket-2", upgradeEcho)))
	echo("after its own switch")
	expect(t, "in flight after its own switch", adminOK[drained](t, http.MethodGet, "/instances/socket-1/drained?timeout_ms=1", nil).InFlight, 1)
	connection.Close()
	expect(t, "left after it closed", waitDrained(t, "socket-1").InFlight, 0)
}

func TestAReloadKeepsTheTableAndTheRequestsInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	setRoute(t, "reload.test", liveRoute("reload", backend(t, "reload-1", func(writer http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(writer, "done")
	})))
	before := adminOK[route.Snapshot](t, http.MethodGet, "/table", nil)
	answer := make(chan string)
	go func() {
		_, body := call(t, http.MethodGet, "reload.test", "")
		answer <- body
	}()
	<-entered
	reload(t)
	after := adminOK[route.Snapshot](t, http.MethodGet, "/table", nil)
	expect(t, "generation", after.Generation, before.Generation)
	expect(t, "routes", len(after.Routes), len(before.Routes))
	expect(t, "in flight", instanceReport(t, "reload-1").InFlight, 1)
	close(leave)
	expect(t, "answer", <-answer, "done")
	expect(t, "left", waitDrained(t, "reload-1").InFlight, 0)
}
