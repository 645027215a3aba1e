/* When each established TCP connection of this network namespace last took and gave data, as the kernel's sock_diag tells anybody. */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ESTABLISHED = 1, ROOM = 1 << 16 };

/* One connection: `inode:milliseconds since data came:since data went:bytes that came:that went`, before it a comma. */
static void print_connection(const struct inet_diag_msg *message, int bytes) {
  struct tcp_info info = {0};
  for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, bytes); at = RTA_NEXT(at, bytes)) {
    if (at->rta_type != INET_DIAG_INFO) continue;
    const size_t size = RTA_PAYLOAD(at) < sizeof info ? RTA_PAYLOAD(at) : sizeof info;
    memcpy(&info, RTA_DATA(at), size);
  }
  printf(",%u:%u:%u:%llu:%llu", message->idiag_inode, info.tcpi_last_data_recv, info.tcpi_last_data_sent,
         (unsigned long long)info.tcpi_bytes_received, (unsigned long long)info.tcpi_bytes_sent);
}

/* Prints the connections of one family, as far as the kernel tells. */
static void print_family(int fd, unsigned char family) {
  const struct {
    struct nlmsghdr head;
    struct inet_diag_req_v2 ask;
  } request = {
      .head = {.nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
      .ask = {.sdiag_family = family,
              .sdiag_protocol = IPPROTO_TCP,
              .idiag_ext = 1 << (INET_DIAG_INFO - 1),
              .idiag_states = 1 << ESTABLISHED},
  };
  if (send(fd, &request, sizeof request, 0) < 0) return;
  static char answer[ROOM] __attribute__((aligned(NLMSG_ALIGNTO)));
  for (;;) {
    const ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    int left = (int)n;
    for (const struct nlmsghdr *head = (const struct nlmsghdr *)answer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR) return;
      const struct inet_diag_msg *message = NLMSG_DATA(head);
      print_connection(message, (int)(head->nlmsg_len - NLMSG_LENGTH(sizeof *message)));
    }
  }
}

int connections(void) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return failed("NoDiagnosis", "%s", strerror(errno));
  printf("ok connections=");
  /* A family that the kernel does not tell of, such as IPv6 where there is none, has no connections here. */
  print_family(fd, AF_INET);
  print_family(fd, AF_INET6);
  close(fd);
  printf("\n");
  return 0;
}
