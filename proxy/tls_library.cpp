#include "proxy/tls_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace proxy {
namespace {

constexpr const char* lean_name = "sternpost-tls";
// Each takes two of the 1024 keys for thread-local data that a process has. Without one more no
// random number can be had in it, and each handshake fails: beyond these OpenSSL's own context.
constexpr std::size_t most_libraries = 64;
constexpr std::array<std::string_view, 6> certificate_keys{"RSA", "RSA-PSS", "DSA",
                                                           "EC",  "ED25519", "ED448"};
// Types of keys that no handshake has: each is looked at for each certificate.
constexpr std::array<std::string_view, 8> other_keys{"DHX",      "SM2",  "SIPHASH",  "POLY1305",
                                                     "CMAC",     "HKDF", "TLS1-PRF", "SCRYPT"};

// "EC" of "EC:id-ecPublicKey:1.2.840.10045.2.1".
std::string_view first_name(const OSSL_ALGORITHM& algorithm) {
  const std::string_view names = algorithm.algorithm_names;
  return names.substr(0, names.find(':'));
}

bool decodes_certificate_key(const OSSL_ALGORITHM& algorithm) {
  const std::string_view what = algorithm.property_definition ? algorithm.property_definition : "";
  return what.find("input=der") != std::string_view::npos &&
         what.find("structure=SubjectPublicKeyInfo") != std::string_view::npos &&
         std::ranges::find(certificate_keys, first_name(algorithm)) != certificate_keys.end();
}

// The default provider in OpenSSL's own context, whose tables and state ours passes on.
OSSL_PROVIDER* reference() {
  static OSSL_PROVIDER* const provider = OSSL_PROVIDER_load(nullptr, "default");
  return provider;
}

bool is_key_of_tls(const OSSL_ALGORITHM& algorithm) {
  return std::ranges::find(other_keys, first_name(algorithm)) == other_keys.end();
}

std::vector<OSSL_ALGORITHM> kept_of(int operation, bool (*keeps)(const OSSL_ALGORITHM&)) {
  std::vector<OSSL_ALGORITHM> kept;
  int uncached = 0;
  const OSSL_ALGORITHM* one = OSSL_PROVIDER_query_operation(reference(), operation, &uncached);
  for (; one && one->algorithm_names; ++one) {
    if (keeps(*one)) kept.push_back(*one);
  }
  kept.push_back(OSSL_ALGORITHM{nullptr, nullptr, nullptr, nullptr});
  return kept;
}

const OSSL_ALGORITHM* decoders() {
  static const auto table = kept_of(OSSL_OP_DECODER, decodes_certificate_key);
  return table.data();
}

const OSSL_ALGORITHM* key_types() {
  static const auto table = kept_of(OSSL_OP_KEYMGMT, is_key_of_tls);
  return table.data();
}

const OSSL_ALGORITHM* query(void*, int operation, int* uncached) {
  *uncached = 0;
  switch (operation) {
    case OSSL_OP_DECODER: return decoders();
    case OSSL_OP_KEYMGMT: return key_types();
    case OSSL_OP_ENCODER:
    case OSSL_OP_STORE: return nullptr;  // files, of which a handshake has none
    default: return OSSL_PROVIDER_query_operation(reference(), operation, uncached);
  }
}

int capabilities(void*, const char* capability, OSSL_CALLBACK* take, void* argument) {
  return OSSL_PROVIDER_get_capabilities(reference(), capability, take, argument);
}

int start_lean(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** functions,
               void** state) {
  static const std::array<OSSL_DISPATCH, 3> table{
      OSSL_DISPATCH{OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query)},
      OSSL_DISPATCH{OSSL_FUNC_PROVIDER_GET_CAPABILITIES,
                    reinterpret_cast<void (*)()>(capabilities)},
      OSSL_DISPATCH{0, nullptr}};
  *functions = table.data();
  *state = OSSL_PROVIDER_get0_provider_ctx(reference());
  return 1;
}

bool has_usual_random() {
  EVP_RAND_CTX* const primary = RAND_get0_primary(nullptr);
  return primary && EVP_RAND_is_a(EVP_RAND_CTX_get0_rand(primary), "CTR-DRBG") == 1;
}

// Whether the default provider is all that there is, and nothing narrows what may be fetched.
bool is_usual() {
  std::vector<std::string_view> names;
  OSSL_PROVIDER_do_all(
      nullptr,
      [](OSSL_PROVIDER* provider, void* argument) {
        static_cast<std::vector<std::string_view>*>(argument)->push_back(
            OSSL_PROVIDER_get0_name(provider));
        return 1;
      },
      &names);
  return names == std::vector<std::string_view>{"default"} && reference() != nullptr &&
         EVP_default_properties_is_fips_enabled(nullptr) == 0 && has_usual_random();
}

struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<TlsLibrary>> idle;
  std::size_t made = 0;
};

// Never destroyed: what a handshake made may be freed by whatever ends last.
Pool& pool() {
  static Pool* const all = new Pool;
  return *all;
}

}  // namespace

std::unique_ptr<TlsLibrary> TlsLibrary::make() {
  std::unique_ptr<TlsLibrary> made(new TlsLibrary);
  made->context_ = OSSL_LIB_CTX_new();
  const bool loaded = made->context_ &&
                      OSSL_PROVIDER_add_builtin(made->context_, lean_name, start_lean) &&
                      OSSL_PROVIDER_load(made->context_, lean_name);
  // Its random numbers now, and not in the first handshake, which would fail without.
  return loaded && RAND_get0_primary(made->context_) ? std::move(made) : nullptr;
}

// Only where it could not be made.
TlsLibrary::~TlsLibrary() { OSSL_LIB_CTX_free(context_); }

std::shared_ptr<TlsLibrary> TlsLibrary::take() {
  static const bool usual = is_usual();
  if (!usual) return nullptr;
  std::unique_ptr<TlsLibrary> library;
  {
    const std::lock_guard lock(pool().mutex);
    if (!pool().idle.empty()) {
      library = std::move(pool().idle.back());
      pool().idle.pop_back();
    } else if (pool().made++ >= most_libraries) {
      return nullptr;
    }
  }
  if (!library) library = make();
  if (!library) return nullptr;
  return {library.release(), [](TlsLibrary* back) {
            const std::lock_guard lock(pool().mutex);
            pool().idle.emplace_back(back);
          }};
}

}  // namespace proxy
