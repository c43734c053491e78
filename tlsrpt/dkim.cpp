#include "tlsrpt/dkim.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/domain.h"
#include "base/encode.h"
#include "tlsrpt/dkim_canon.h"
#include "tlsrpt/dkim_record.h"

namespace tlsrpt {
namespace {

using base::fail;
using Octets = std::vector<std::uint8_t>;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using PrivateKey = std::unique_ptr<EVP_PKEY, Free>;

constexpr int rsa_bits_least = 1024;  // RFC 8301 §3.2
constexpr std::size_t line_wanted = 78;
constexpr std::size_t name_limit = 253;  // octets of a domain name

// RFC 8460 §5.3 asks for the TLS-Report fields, RFC 6376 §5.4.1 recommends the rest. Each is listed
// once more than it is there (RFC 6376 §8.15): a second one put in breaks the signature.
constexpr std::array covered{
    "From",         "To",           "Subject",              "Date",
    "Message-ID",   "MIME-Version", "Content-Type",         "TLS-Report-Domain",
    "TLS-Report-Submitter",         "Auto-Submitted",       "TLS-Required"};

std::span<const std::uint8_t> octets_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Says that a passphrase was asked for, and gives none: nobody is there to type it.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

base::Result<PrivateKey, base::Error> read_key(std::string_view pem) {
  const std::unique_ptr<BIO, Free> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 1 << 20))));
  if (!bio) return fail("OpenSSL has no memory for the DKIM key");
  bool encrypted = false;
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, &encrypted));
  ERR_clear_error();
  if (key) return key;
  if (encrypted) return fail("the DKIM key is encrypted: take the passphrase off");
  return fail("the DKIM key is no private key in PEM form");
}

// RFC 6376 §3.1 selector: labels of letters, digits and hyphens with dots between them.
bool is_selector(std::string_view text) {
  bool at_edge = true;  // of a label, where no hyphen may stand
  std::size_t length = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool ends = i + 1 == text.size() || text[i + 1] == '.';
    if (c == '.' ? at_edge : !alnum && (c != '-' || at_edge || ends)) return false;
    at_edge = c == '.';
    length = at_edge ? 0 : length + 1;
    if (length > 63) return false;
  }
  return !at_edge;
}

// What p= holds: SubjectPublicKeyInfo for RSA, as verifiers read it, though RFC 6376 §3.6.1 speaks
// of RSAPublicKey; the 32 octets themselves for Ed25519 (RFC 8463 §4).
Octets public_key(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
    Octets out(32);
    std::size_t size = out.size();
    if (EVP_PKEY_get_raw_public_key(key, out.data(), &size) != 1) return {};
    return out;
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  const Octets out(der, der + std::max(size, 0));
  OPENSSL_free(der);
  return out;
}

// The form that RFC 6376 §3.6.1 names: the bare RSAPublicKey. Empty for Ed25519.
Octets bare_rsa_key(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return {};
  unsigned char* der = nullptr;
  const int size = i2d_PublicKey(key, &der);
  const Octets out(der, der + std::max(size, 0));
  OPENSSL_free(der);
  return out;
}

base::Result<Octets, base::Error> sha256(std::string_view text) {
  Octets out(32);
  if (EVP_Digest(text.data(), text.size(), out.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    return fail("DKIM: OpenSSL has no SHA-256");
  }
  return out;
}

// rsa-sha256 (RFC 6376 §3.3.1) signs the text; ed25519-sha256 signs the text's SHA-256, as if that
// were the message (RFC 8463 §3).
base::Result<Octets, base::Error> signature_of(EVP_PKEY* key, std::string_view text) {
  const bool ed25519 = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
  auto hash = sha256(text);
  if (!hash) return fail(hash.error());
  const std::span<const std::uint8_t> input = ed25519 ? std::span(*hash) : octets_of(text);
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  const EVP_MD* digest = ed25519 ? nullptr : EVP_sha256();
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, input.data(), input.size()) != 1) {
    return fail("DKIM: OpenSSL cannot sign with this key");
  }
  Octets out(size);
  if (EVP_DigestSign(context.get(), out.data(), &size, input.data(), input.size()) != 1) {
    return fail("DKIM: OpenSSL cannot sign with this key");
  }
  out.resize(size);
  return out;
}

// A field out of pieces that are not parted; each line but the first begins with a tab.
class Folder {
 public:
  explicit Folder(std::string line) : line_(std::move(line)) {}
  void add_word(const std::string& word) { add(" " + word, word); }
  void add_joined(const std::string& piece) { add(piece, piece); }
  void add_line(const std::string& piece) {
    text_ += line_ + "\r\n";
    line_ = "\t" + piece;
  }
  std::string text() const { return text_ + line_; }

 private:
  void add(const std::string& on_this_line, const std::string& on_the_next) {
    if (line_.size() + on_this_line.size() > line_wanted) return add_line(on_the_next);
    line_ += on_this_line;
  }

  std::string text_;
  std::string line_;
};

// The fields that are signed, in the order of h=, each with CRLF; their names go to `names`.
std::string signed_fields(const MessageParts& parts, std::vector<std::string_view>& names) {
  std::string out;
  for (const std::string_view name : covered) {
    // RFC 6376 §5.4.2: of several fields with one name, the last is taken first.
    for (auto field = parts.fields.rbegin(); field != parts.fields.rend(); ++field) {
      if (!base::iequals(field_name(*field), name)) continue;
      out += relaxed_field(*field) + "\r\n";
      names.push_back(name);
    }
    names.push_back(name);
  }
  return out;
}

}  // namespace

struct DkimSigner::Key {
  PrivateKey key;
  std::string domain;
  std::string selector;
  std::string type;  // as in k=: "rsa" or "ed25519"
  Octets published;  // as in p=, decoded
};

DkimSigner::DkimSigner(std::unique_ptr<Key> key) : key_(std::move(key)) {}
DkimSigner::DkimSigner(DkimSigner&&) noexcept = default;
DkimSigner& DkimSigner::operator=(DkimSigner&&) noexcept = default;
DkimSigner::~DkimSigner() = default;

base::Result<DkimSigner, base::Error> DkimSigner::make(std::string_view key_pem,
                                                       std::string domain, std::string selector) {
  const auto name = base::Domain::parse(domain);
  if (!name) return fail("the DKIM domain: " + name.error().text);
  if (!name->is_ldh()) return fail("the DKIM domain has characters that no mail domain has");
  if (!is_selector(selector)) {
    return fail("the DKIM selector has to be labels of letters, digits and hyphens");
  }
  auto pem = read_key(key_pem);
  if (!pem) return fail(pem.error());
  auto key = std::make_unique<Key>();
  key->key = std::move(*pem);
  key->domain = name->str();
  key->selector = std::move(selector);
  const int type = EVP_PKEY_get_base_id(key->key.get());
  if (type != EVP_PKEY_RSA && type != EVP_PKEY_ED25519) {
    return fail("the DKIM key is neither RSA nor Ed25519");
  }
  key->type = type == EVP_PKEY_RSA ? "rsa" : "ed25519";
  const int bits = EVP_PKEY_get_bits(key->key.get());
  if (type == EVP_PKEY_RSA && bits < rsa_bits_least) {
    return fail("the DKIM key has " + std::to_string(bits) + " bits: 1024 are the least");
  }
  key->published = public_key(key->key.get());
  if (key->published.empty()) return fail("OpenSSL cannot tell the public part of the DKIM key");
  DkimSigner signer(std::move(key));
  if (signer.record_name().size() > name_limit) {
    return fail("the DKIM selector and domain are too long together");
  }
  return signer;
}

base::Result<std::string, base::Error> DkimSigner::sign(std::string_view message,
                                                        base::WallTime date) const {
  const MessageParts parts = message_parts(message);
  const auto body_hash = sha256(relaxed_body(parts.body));
  if (!body_hash) return fail(body_hash.error());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(date).time_since_epoch().count();
  std::vector<std::string_view> names;
  const std::string fields = signed_fields(parts, names);

  Folder folder("DKIM-Signature: v=1;");
  folder.add_word("a=" + key_->type + "-sha256;");
  folder.add_word("c=relaxed/relaxed;");
  folder.add_word("d=" + key_->domain + ";");
  folder.add_word("s=" + key_->selector + ";");
  folder.add_word("t=" + std::to_string(seconds) + ";");
  folder.add_line("h=");
  for (const std::string_view& name : names) {
    folder.add_joined(base::to_lower(name) + (&name == &names.back() ? ";" : ":"));
  }
  folder.add_line("bh=" + base::to_base64(*body_hash) + ";");
  folder.add_line("b=");

  // RFC 6376 §3.7: the field itself comes last, with an empty b= and without CRLF.
  auto signature = signature_of(key_->key.get(), fields + relaxed_field(folder.text()));
  if (!signature) return fail(signature.error());
  const std::string text = base::to_base64(*signature);
  static constexpr std::size_t piece = 72;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    folder.add_joined(text.substr(at, piece));
  }
  return {boost::system::in_place_value, folder.text() + "\r\n" + std::string(message)};
}

std::string DkimSigner::record_name() const {
  return key_->selector + "._domainkey." + key_->domain;
}

std::string DkimSigner::record_text() const {
  // `email` besides `tlsrpt`: RFC 6376 §3.6.1 has verifiers of ordinary mail, which this is to the
  // servers on its way, pass over a key without it.
  return "v=DKIM1; k=" + key_->type + "; s=email:tlsrpt; p=" + base::to_base64(key_->published);
}

std::optional<std::string> DkimSigner::record_problem(std::string_view txt) const {
  const std::string place = "the DKIM record " + record_name();
  const std::string remedy = "; it should be: " + record_text();
  if (txt.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return place + " is not there, or is empty" + remedy;
  }
  const auto record = parse_dkim_record(txt);
  if (!record) return place + " " + record.error().text + remedy;
  if (record->key.empty()) return place + " says with an empty p= that the key is revoked" + remedy;
  if (record->key_type != key_->type) {
    return place + " is for another type of key than " + key_->type + remedy;
  }
  const bool same = record->key == key_->published || record->key == bare_rsa_key(key_->key.get());
  if (!same) return place + " has the p= of another key" + remedy;

  const std::vector<std::string> faults = record_faults(*record);
  if (faults.empty()) return std::nullopt;
  std::string out = place;
  for (const std::string& fault : faults) out += (out == place ? " " : "; it ") + fault;
  return out;
}

}  // namespace tlsrpt
