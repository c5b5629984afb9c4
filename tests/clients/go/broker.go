package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/proto/spiffe/broker"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// What a broker is told on the command line.
type brokered struct {
	socket   string
	agent    spiffeid.ID
	workload spiffeid.ID
	pid      int32
}

func readBrokered(arguments []string) (brokered, error) {
	if len(arguments) != 4 {
		return brokered{}, fmt.Errorf("broker needs BROKER_SOCKET AGENT_ID PID WORKLOAD_ID")
	}
	agent, err := spiffeid.FromString(arguments[1])
	if err != nil {
		return brokered{}, err
	}
	pid, err := strconv.ParseInt(arguments[2], 10, 32)
	if err != nil {
		return brokered{}, err
	}
	workload, err := spiffeid.FromString(arguments[3])
	return brokered{arguments[0], agent, workload, int32(pid)}, err
}

// actAsBroker takes this process's own identity from the Workload API, and with it the identity of another process from the Broker API.
func actAsBroker(ctx context.Context, address workloadapi.ClientOption, arguments []string) error {
	asked, err := readBrokered(arguments)
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	tls := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(asked.agent))
	connection, err := grpc.NewClient("unix://"+asked.socket, grpc.WithTransportCredentials(credentials.NewTLS(tls)))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := broker.NewAPIClient(connection)
	reference, err := anypb.New(&broker.WorkloadPIDReference{Pid: asked.pid})
	if err != nil {
		return err
	}
	workload := &broker.WorkloadReference{Reference: reference}

	// Without the metadata nothing is said.
	token := &broker.FetchJWTSVIDRequest{Reference: workload, Audience: []string{"db"}}
	if _, err := client.FetchJWTSVID(ctx, token); status.Code(err) != codes.InvalidArgument {
		return fmt.Errorf("a call without the security header: %v", err)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "broker.spiffe.io", "true")
	answer, err := client.FetchJWTSVID(ctx, token)
	if err != nil {
		return err
	}
	stream, err := client.SubscribeToX509SVID(ctx, &broker.SubscribeToX509SVIDRequest{Reference: workload})
	if err != nil {
		return err
	}
	update, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(answer.Svids) != 1 || len(update.Svids) != 1 || answer.Svids[0].SpiffeId != asked.workload.String() {
		return fmt.Errorf("not one identity: %v", answer.Svids)
	}
	return verifyBrokered(update.Svids[0], asked.workload)
}

func verifyBrokered(given *broker.X509SVID, id spiffeid.ID) error {
	svid, err := x509svid.ParseRaw(given.X509Svid, given.X509SvidKey)
	if err != nil {
		return err
	}
	bundle, err := x509bundle.ParseRaw(id.TrustDomain(), given.Bundle)
	if err != nil {
		return err
	}
	verified, _, err := x509svid.Verify(svid.Certificates, bundle)
	if err != nil {
		return err
	}
	if verified != id {
		return fmt.Errorf("%s is not %s", verified, id)
	}
	return say(map[string]any{"spiffe_id": verified.String()})
}
