/* What bench/fuse.ts is held against: the same file system, on libfuse's low-level interface, one thread. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse_lowlevel.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIR_INO = 2, FILE_INO = 3, FIRST = 4, COUNT = 1000, SIZE = 4096 };
static char content[SIZE];

static void fill(fuse_ino_t ino, struct stat *st) {
  memset(st, 0, sizeof *st);
  st->st_ino = ino;
  st->st_mode = ino <= DIR_INO ? S_IFDIR | 0755 : S_IFREG | 0644;
  st->st_nlink = 1;
  st->st_size = ino <= DIR_INO ? 0 : SIZE;
}

static void enter(struct fuse_entry_param *entry, fuse_ino_t ino) {
  memset(entry, 0, sizeof *entry);
  entry->ino = ino;
  fill(ino, &entry->attr);
}

static fuse_ino_t find(fuse_ino_t parent, const char *name) {
  if (parent == FUSE_ROOT_ID) return !strcmp(name, "dir") ? DIR_INO : !strcmp(name, "file") ? FILE_INO : 0;
  return name[0] == 'n' ? FIRST + strtoul(name + 1, NULL, 10) : 0;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param entry;
  fuse_ino_t ino = find(parent, name);
  if (ino == 0) { fuse_reply_err(req, ENOENT); return; }
  enter(&entry, ino);
  fuse_reply_entry(req, &entry);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  struct stat st;
  (void)fi;
  fill(ino, &st);
  fuse_reply_attr(req, &st, 0);
}

static void do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi) {
  char *buffer = malloc(size), name[16];
  size_t used = 0;
  (void)fi;
  for (; ino == DIR_INO && off < COUNT; off++) {
    struct fuse_entry_param entry;
    enter(&entry, FIRST + off);
    snprintf(name, sizeof name, "n%d", (int)off);
    size_t length = fuse_add_direntry_plus(req, buffer + used, size - used, name, &entry, off + 1);
    if (length > size - used) break;
    used += length;
  }
  fuse_reply_buf(req, buffer, used);
  free(buffer);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)ino;
  fi->direct_io = 1;
  fuse_reply_open(req, fi);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi) {
  (void)ino, (void)fi;
  if (off >= SIZE) { fuse_reply_buf(req, NULL, 0); return; }
  fuse_reply_buf(req, content + off, off + size > SIZE ? SIZE - off : size);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi) {
  (void)ino, (void)fi;
  if (off < SIZE) memcpy(content + off, data, off + size > SIZE ? SIZE - off : size);
  fuse_reply_write(req, size);
}

int main(int argc, char **argv) {
  const struct fuse_lowlevel_ops ops = {.lookup = do_lookup, .getattr = do_getattr, .readdirplus = do_readdirplus,
                                        .open = do_open, .read = do_read, .write = do_write};
  char *args[] = {argv[0], NULL};
  struct fuse_args list = FUSE_ARGS_INIT(1, args);
  struct fuse_session *session = fuse_session_new(&list, &ops, sizeof ops, NULL);
  if (argc != 2 || session == NULL || fuse_session_mount(session, argv[1]) != 0) return 1;
  int status = fuse_session_loop(session);
  fuse_session_unmount(session);
  return status != 0;
}
