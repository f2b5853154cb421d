import { UserError } from "../error.ts";
import { packAcl } from "../image/acl.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { makeDirectoryAt, openAt } from "../kernel/file.ts";
import { setXattr } from "../kernel/xattr.ts";
import { mountPlaceOf, mountPointOf } from "./paths.ts";

/**
 * Makes the directory that a session is mounted on. The one around it is the superuser's: what other people's sessions
 * change is nobody's business.
 * @param visitor the one user besides who may go through, to whom `schroot --info` says where it is
 */
export function makeMountPoint(id: string, visitor: number | undefined): string {
  const [place, mountPoint] = [mountPlaceOf(id), mountPointOf(id)];
  for (const path of [place, mountPoint]) unless(["EEXIST"], () => makeDirectoryAt(null, path, 0o700));
  if (visitor !== undefined && visitor !== 0) admit(place, visitor);
  return mountPoint;
}

/** By an ACL: whoever owned it could put something else there. @see acl(5), include/uapi/linux/posix_acl_xattr.h */
function admit(place: string, uid: number): void {
  const [owner, named, group, mask, other, nobody] = [0x01, 0x02, 0x04, 0x10, 0x20, 0xffffffff];
  const acl = packAcl([
    { tag: owner, permissions: 7, id: nobody },
    { tag: named, permissions: 1, id: uid },
    { tag: group, permissions: 0, id: nobody },
    { tag: mask, permissions: 1, id: nobody },
    { tag: other, permissions: 0, id: nobody },
  ]);
  using directory = openAt(null, place, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const isSet = unless(["EOPNOTSUPP"], () => {
    setXattr(directory, "system.posix_acl_access", acl);
    return true;
  });
  if (isSet === undefined) throw new UserError("unsupported", `${place}: this kernel's tmpfs has no ACLs`);
}
