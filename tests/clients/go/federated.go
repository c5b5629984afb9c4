package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// The longest that one request may take.
const requestLimit = 10 * time.Second

// The longest run of a load.
const loadLimit = 15 * time.Minute

// admitPeers serves peers with these identities, of whichever trust domains, until standard input ends. It answers each line with the line and the serial
// number of the caller's certificate.
func admitPeers(ctx context.Context, address workloadapi.ClientOption, peers []string) error {
	ids, err := readIDs(peers)
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go answerLines(tls.NewListener(listener, tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeOneOf(ids...))))
	if err := say(map[string]any{"address": listener.Addr().String()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func answerLines(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(requestLimit))
			lines := bufio.NewScanner(connection)
			for lines.Scan() {
				peer := connection.(*tls.Conn).ConnectionState().PeerCertificates[0]
				if _, err := fmt.Fprintf(connection, "%s %032x\n", lines.Text(), peer.SerialNumber); err != nil {
					return
				}
			}
		}()
	}
}

// A service that is called.
type service struct {
	address string
	id      spiffeid.ID
}

// putLoad waits until each service has answered once, says so, and calls each of them again and again, on a new connection each time, until standard input ends.
// It prints each failure, and at the end how often it asked and how often that failed.
func putLoad(address workloadapi.ClientOption, arguments []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), loadLimit)
	defer cancel()
	every, services, err := readLoad(arguments)
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	for _, service := range services {
		if err := untilAnswered(ctx, source, service); err != nil {
			return err
		}
	}
	if err := say(map[string]any{"ready": true}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return callUntil(ctx, ended, source, services, every)
}

func callUntil(ctx context.Context, ended <-chan struct{}, source *workloadapi.X509Source, services []service, every time.Duration) error {
	asked, again, failed := 0, 0, 0
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, service := range services {
				asked++
				repeated, err := service.callUntilConverted(ctx, source)
				again += repeated
				if err != nil {
					failed++
					if err := say(map[string]any{"failure": err.Error(), "service": service.id.String()}); err != nil {
						return err
					}
				}
			}
		case <-ended:
			return say(map[string]any{"asked": asked, "asked_again": again, "failed": failed})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// How a handshake ends with a service whose library, spiffe-rustls 0.11, is converting an update of its source: it has no certificate to show, offers no
// signature schemes, or verifies nobody for that moment.
var converting = []string{
	"remote error: tls: access denied",
	"local error: tls: error decoding message",
	"remote error: tls: handshake failure",
}

// callUntilConverted asks again as long as the service is converting. It returns how often it did.
func (s service) callUntilConverted(ctx context.Context, source *workloadapi.X509Source) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for again := 0; ; again++ {
		err := s.call(ctx, source)
		if err == nil || ctx.Err() != nil || !slices.ContainsFunc(converting, func(sign string) bool { return strings.Contains(err.Error(), sign) }) {
			return again, err
		}
	}
}

func untilAnswered(ctx context.Context, source *workloadapi.X509Source, service service) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := service.call(ctx, source)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", service.id, err)
		}
	}
}

// call makes one request on a connection of its own.
func (s service) call(ctx context.Context, source *workloadapi.X509Source) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	config := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(s.id))
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(requestLimit))
	if _, err := connection.Write([]byte("1\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "1 ") {
		return fmt.Errorf("answered with %q", answer)
	}
	return nil
}

func readLoad(arguments []string) (time.Duration, []service, error) {
	if len(arguments) < 3 || len(arguments)%2 != 1 {
		return 0, nil, fmt.Errorf("usage: client load SOCKET SPIFFE_ID MILLISECONDS [ADDRESS PEER]...")
	}
	every, err := strconv.Atoi(arguments[0])
	if err != nil {
		return 0, nil, err
	}
	var services []service
	for rest := arguments[1:]; len(rest) > 0; rest = rest[2:] {
		id, err := spiffeid.FromString(rest[1])
		if err != nil {
			return 0, nil, err
		}
		services = append(services, service{address: rest[0], id: id})
	}
	return time.Duration(every) * time.Millisecond, services, nil
}

func readIDs(texts []string) ([]spiffeid.ID, error) {
	var ids []spiffeid.ID
	for _, text := range texts {
		id, err := spiffeid.FromString(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
